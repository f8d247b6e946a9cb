-- Tries to run on in the environment of a text that was loaded.
-- Ends: timeout
local env = setmetatable({}, { __index = function(_, name)
  if name == "x" then
    return 1
  end
  while true do pcall(load("return y + z", "=env", "t", setmetatable({}, { __index = function() return 1 end }))) end
end })
while true do
  pcall(load("y = x; z = nothing", "=env", "t", env))
end
