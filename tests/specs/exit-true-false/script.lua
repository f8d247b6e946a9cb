local keep <close> = setmetatable({}, {
  __close = function()
    print("closed")
  end,
})
pcall(function()
  os.exit(false)
 end)
print("not reached")
