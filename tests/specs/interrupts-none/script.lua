local sum = 0
for i = 1, 100000 do
  sum = sum + i
end
Async.sleep(0)
print(sum)
