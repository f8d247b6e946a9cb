local n = 1
prin(n)
