-- Tries message handlers that fail in turn, until C has no stack left, and again.
-- Ends: timeout or memory
local function handler(e) error(e) end
local function deep() return 1 + deep() end
while true do
  xpcall(error, handler, "x")
  xpcall(deep, handler)
  xpcall(error, function() return xpcall(error, handler) end)
end
