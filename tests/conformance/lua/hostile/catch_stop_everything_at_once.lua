-- Tries a loop in a pcall in an xpcall in a coroutine in a metamethod, and all of that again after the stop.
-- Ends: timeout
local function handler(e)
  return setmetatable({}, { __tostring = function() while true do end end, __index = { e } })
end
local t = setmetatable({}, { __index = function()
  return coroutine.wrap(function()
    return xpcall(function()
      return pcall(function()
        while true do end
      end)
    end, handler)
  end)()
end })
while true do
  pcall(function() return t.x end)
end
