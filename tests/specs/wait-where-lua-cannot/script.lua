table.sort({ 3, 1, 2 }, function(a, b)
  Async.sleep(0)
  return a < b
end)
