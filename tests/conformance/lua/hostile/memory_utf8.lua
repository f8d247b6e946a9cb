-- Tries to fill the memory with characters, six bytes for each.
-- Ends: memory
local t = {}
for i = 1, 10000 do t[i] = 0x7FFFFFFF end
local s = utf8.char(table.unpack(t)):rep(100)
while true do
  pcall(function()
    for _, c in utf8.codes(s:sub(1, 600), true) do assert(c == 0x7FFFFFFF) end
    s = s .. s
  end)
end
