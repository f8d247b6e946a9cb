-- Tries to run on in tail calls, which leave no frame.
-- Ends: timeout
local function f(g)
  return g(f)
end
return f(f)
