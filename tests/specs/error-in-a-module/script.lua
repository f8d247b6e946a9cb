local shelf = require("lib.shelf")

local function fill()
  shelf.put(nil)
end

fill()
