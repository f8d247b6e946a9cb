local one, other
one = Async.spawn(function()
  other:await()
end)
other = Async.spawn(function()
  one:await()
end)
one:await()
