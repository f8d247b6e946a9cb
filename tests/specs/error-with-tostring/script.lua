error(setmetatable({}, {
  __tostring = function()
    return "as its own text says"
  end,
}))
