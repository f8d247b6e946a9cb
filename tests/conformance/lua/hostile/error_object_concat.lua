-- Tries to fail in whatever is done with an error's text.
-- Ends: script
local e = setmetatable({}, {
  __tostring = function(e) return e .. e end,
  __concat = function(a, b) error(a) end,
  __name = ("name"):rep(1000000),
  __index = function(e, k) error(e) end,
  __len = function(e) return e end,
  __eq = error,
})
pcall(print, e)
pcall(error, e)
error(e)
