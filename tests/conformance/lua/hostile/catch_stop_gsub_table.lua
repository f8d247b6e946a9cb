-- Tries to run on in a replacement table's `__index`, and in iterators that gmatch feeds.
-- Ends: timeout
local t = setmetatable({}, { __index = function(_, k)
  for word in k:gmatch(".") do
    pcall(string.gsub, word, ".", setmetatable({}, { __index = function() while true do end end }))
  end
end })
while true do
  pcall(string.gsub, "abc", ".", t)
end
