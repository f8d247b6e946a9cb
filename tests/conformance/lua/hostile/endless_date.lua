-- Tries to have a date formatted in millions of places.
-- Ends: timeout
-- Only: process
local s = ("%p"):rep(6000000)
while true do pcall(os.date, s) end
