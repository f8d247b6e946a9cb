local shelf = {}

local function weigh(book)
  return book.weight
end

function shelf.put(book)
  local weight = weigh(book)
  return weight
end

return shelf
