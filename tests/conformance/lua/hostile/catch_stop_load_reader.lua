-- Tries to have `load` catch the stop for it: it catches what its reader raises.
-- Ends: timeout
while true do
  local f, e = load(function()
    while true do end
  end)
  caught = e
end
