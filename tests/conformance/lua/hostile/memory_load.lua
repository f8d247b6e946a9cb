-- Tries to have `load` catch the end of memory: it catches what its reader raises.
-- Ends: memory
local kept = {}
while true do
  load(function()
    kept[#kept + 1] = ("x"):rep(100000) .. #kept
    return " "
  end)
end
