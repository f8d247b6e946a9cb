-- Tries to leave a block by goto, backwards, without end, something being closed each time.
-- Ends: timeout
local closed = setmetatable({}, { __close = function() pcall(error) end })
::top::
do
  local x <close> = closed
  local y <close> = closed
  goto top
end
