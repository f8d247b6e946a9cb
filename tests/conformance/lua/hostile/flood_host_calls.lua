-- Tries to keep the host busy.
-- Ends: timeout
while true do
  pcall(JSON.stringify, { 1, 2, 3 })
  pcall(JSON.parse, "[")
  pcall(function() return Agent.nothing end)
end
