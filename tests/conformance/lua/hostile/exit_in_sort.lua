-- Tries to catch an exit inside a comparator.
-- Ends: exit 0
pcall(table.sort, { 2, 1 }, function()
  pcall(os.exit)
  while true do end
end)
while true do end
