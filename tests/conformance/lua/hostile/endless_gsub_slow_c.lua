-- Tries to replace each letter by what a C function makes of it slowly, on a deep stack.
-- Ends: timeout
-- Only: compiled
local s = ("x"):rep(100000)
local function deep(n)
  if n > 0 then
    return 1 + deep(n - 1)
  end
  while true do string.gsub(s, "(.)()", debug.traceback) end
end
deep(50000)
