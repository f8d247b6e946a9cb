-- Tries to fill the memory, and to catch its end.
-- Ends: memory
while true do
  pcall(function()
    local t = {}
    while true do
      t[#t + 1] = ("x"):rep(1000) .. #t
    end
  end)
end
