-- Tries to go on in a message handler, which runs where the error is.
-- Ends: timeout
while true do
  xpcall(function()
    while true do end
  end, function()
    while true do end
  end)
end
