-- Tries to run on in the `__tostring` of the error that ends the run.
-- Ends: timeout
error(setmetatable({}, { __tostring = function()
  while true do end
end }))
