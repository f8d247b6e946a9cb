-- Tries the same, over string.gsub.
-- Ends: timeout
local function burn()
  while true do end
end
local function deep(n)
  if n > 0 then
    string.gsub("x", ".", function() deep(n - 1) end)
  else
    for i = 1, 1000 do pcall(burn) end
  end
end
while true do
  for n = 150, 200 do pcall(deep, n) end
end
