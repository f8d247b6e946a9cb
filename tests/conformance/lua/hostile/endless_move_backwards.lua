-- Tries the same, backwards and into another table.
-- Ends: timeout
table.move({}, 1, 1 << 60, 1, {})
table.move({}, 2, 1 << 60, 3)
