print("never run")
local x = = 1
