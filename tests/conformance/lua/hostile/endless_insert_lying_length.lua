-- Tries to have table.insert move what is not there, by a length that lies.
-- Ends: timeout
table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, "x")
