-- Tries to hold the stop up in a `<close>` variable, and in one of that one.
-- Ends: timeout
local function endless()
  local inner <close> = setmetatable({}, { __close = function()
    while true do end
  end })
  while true do end
end
local outer <close> = setmetatable({}, { __close = endless })
pcall(endless)
while true do end
