-- Tries to have the host keep megabytes for each error that it has raised.
-- Ends: timeout
local s = "[" .. ("x"):rep(5000000)
while true do
  pcall(JSON.parse, s)
  pcall(JSON.stringify, { s, print })
end
