-- Tries to have table.remove run metamethods that are C functions, where no hook is called.
-- Ends: timeout
table.remove(setmetatable({}, { __len = function() return 1 << 60 end, __index = rawlen, __newindex = rawequal }), 1)
