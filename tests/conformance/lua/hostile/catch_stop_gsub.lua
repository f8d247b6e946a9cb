-- Tries to run on in a replacement, where nothing can yield.
-- Ends: timeout
while true do
  pcall(string.gsub, "abc", ".", function()
    pcall(function()
      while true do end
    end)
  end)
end
