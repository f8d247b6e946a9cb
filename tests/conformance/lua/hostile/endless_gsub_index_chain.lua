-- Tries a replacement table that looks each letter up in two thousand others, in C.
-- Ends: timeout
-- Only: compiled
local t = {}
for i = 1, 1990 do t = setmetatable({}, { __index = t }) end
local s = ("x"):rep(1000000)
while true do pcall(string.gsub, s, ".", t) end
