-- Tries to catch the stop, again and again.
-- Ends: timeout
while true do
  pcall(function()
    while true do end
  end)
end
