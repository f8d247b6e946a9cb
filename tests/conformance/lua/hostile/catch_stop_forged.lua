-- Tries to be taken for stopped, by the words of the stop, and to go on.
-- Ends: timeout
local x <close> = setmetatable({}, { __close = function() while true do end end })
while true do
  pcall(error, "the run was stopped", 0)
  coroutine.wrap(pcall)(error, "the run was stopped", 0)
  xpcall(error, function(e) return e end, "the run was stopped", 0)
end
