-- Tries a condition of a million parts: Lua's parser goes through all of them for each.
-- Ends: timeout
local text = "local x return " .. ("x and "):rep(1000000) .. "x"
while true do load(text) end
