print("[31m" .. )
local x = "‮"
