-- Tries to run on in coroutines so short that none of them ever counts its instructions to a tick.
-- Ends: timeout
for i = 1, 100000 do end -- by now ticks are far apart
local function burn(n)
  if n == 0 then
    for i = 1, 1500 do end
  else
    for i = 1, 150 do
      coroutine.wrap(burn)(n - 1)
    end
  end
end
while true do
  burn(3)
end
