-- Tries to have table.move copy nothing, for ever.
-- Ends: timeout
table.move({}, 1, 1 << 60, 2)
