print("written")
local t = nil
print(t.field)
