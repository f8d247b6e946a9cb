-- Tries to catch the stop with fifty pcalls, one in the other.
-- Ends: timeout
local function deep(n)
  if n == 0 then
    while true do end
  end
  pcall(deep, n - 1)
  while true do end
end
deep(50)
