-- Tries to go on in a `<close>` variable after the end of memory, which nobody has caught yet.
-- Ends: timeout
local x <close> = setmetatable({}, { __close = function()
  while true do end
end })
local t = {}
while true do
  t[#t + 1] = ("x"):rep(1000) .. #t
end
