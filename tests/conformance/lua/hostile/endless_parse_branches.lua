-- Tries an `if` of half a million branches, likewise.
-- Ends: timeout
local text = "local x if x then " .. ("elseif x then "):rep(500000) .. "end"
while true do load(text) end
