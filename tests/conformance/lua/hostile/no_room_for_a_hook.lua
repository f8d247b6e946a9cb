-- Tries to run on so deep in C calls that the hook cannot be called: its error is caught.
-- Ends: timeout
local function burn()
  local x <close> = setmetatable({}, { __close = function() error("something else") end })
  while true do end
end
local function deep()
  pcall(deep)
  while true do
    pcall(burn)
    xpcall(burn, function() return "something else" end)
  end
end
deep()
