-- Tries to replace the exit code from a `<close>` variable.
-- Ends: exit 5
local x <close> = setmetatable({}, { __close = function() os.exit(6) end })
os.exit(5)
