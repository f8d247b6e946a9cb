-- Tries to fill the memory with texts that are loaded.
-- Ends: memory
local all = {}
while true do
  all[#all + 1] = load("return {" .. ("'x" .. #all .. "',"):rep(50000) .. "}")
  all[#all + 1] = load("return " .. ("function(...) local a, b = ... end,"):rep(10000) .. "1")
end
