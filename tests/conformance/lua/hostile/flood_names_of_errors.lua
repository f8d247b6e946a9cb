-- Tries to have the host word errors about long and strange names.
-- Ends: timeout
local s = ("\xff\0\27[31m"):rep(100000)
while true do
  pcall(require, s)
  pcall(dofile, s)
  pcall(Agent.create, { model = s })
  pcall(Agent.create, { [s] = s })
  pcall(function() return Agent[s] end)
  pcall(JSON.parse, s)
  pcall(JSON.stringify, { [s] = print })
end
