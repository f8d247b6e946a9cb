-- Tries to change what an error is while it is told.
-- Ends: script
local e = {}
local mt = {}
mt.__tostring = function()
  mt.__tostring = 5
  setmetatable(e, nil)
  e.kind, e.message, e.traceback, e.id = "limit", {}, e, -1
  error(e)
end
local x <close> = setmetatable({}, { __close = function(_, got)
  setmetatable(got, mt)
  error(got)
end })
error(setmetatable(e, mt))
