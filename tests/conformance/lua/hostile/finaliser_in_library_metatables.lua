-- Tries to put finalisers into every metatable that can be had.
-- Ends: done
local function spin() while true do end end
for _, v in next, { debug, package, Agent, Async, JSON, Log, io.stdout, "x", JSON.null, coroutine.create(spin), _G } do
  local mt = getmetatable(v)
  if type(mt) == "table" then
    mt.__gc = spin
    pcall(setmetatable, {}, mt)
  end
  pcall(function() v.__gc = spin end)
  pcall(setmetatable, v, { __gc = spin })
end
string.__gc, table.__gc, _ENV.__gc = spin, spin, spin
for i = 1, 3 do collectgarbage() end
