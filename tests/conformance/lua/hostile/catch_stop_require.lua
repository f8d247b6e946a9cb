-- Tries to run on in a module's name.
-- Ends: timeout
while true do
  pcall(require, "nowhere")
  pcall(dofile, "nowhere.lua")
end
