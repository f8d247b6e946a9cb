do
  local keep <close> = setmetatable({}, {
    __close = function()
      print("closing")
      os.exit(9)
    end,
  })
end
print("not reached")
