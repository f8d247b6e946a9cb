-- Tries to run on in the closing value of a `for`, each time the loop is left by an error.
-- Ends: timeout
local function spin()
  while true do end
end
while true do
  pcall(function()
    for _ in next, { 1 }, nil, setmetatable({}, { __close = spin }) do
      for _ in next, { 1 }, nil, setmetatable({}, { __close = spin }) do
        error("out")
      end
    end
  end)
end
