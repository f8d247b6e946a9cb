-- Tries to run on in a comparator, where nothing can yield.
-- Ends: timeout
while true do
  pcall(table.sort, { 3, 2, 1, 5, 4 }, function()
    while true do end
  end)
end
