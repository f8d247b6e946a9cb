-- Tries weak keys in a random chain, which the collector goes through again and again: it cannot be interrupted.
-- Ends: timeout
-- Only: process
local weak, keys = setmetatable({}, { __mode = "k" }), {}
for i = 1, 40000 do keys[i] = {} end
for i = #keys, 2, -1 do
  local j = math.random(i)
  keys[i], keys[j] = keys[j], keys[i]
end
for i = 1, #keys - 1 do weak[keys[i]] = keys[i + 1] end
local first = keys[1]
keys = nil
while true do collectgarbage() end
