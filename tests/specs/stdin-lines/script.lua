print(io.read("n"), io.read("l"))
for line in io.lines() do
  print("[" .. line .. "]")
end
print(io.read("a") == "", io.read("l"))
