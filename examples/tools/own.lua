-- A tool written in Lua: its parameters are checked before it is called, and it may wait.

local convert = Tool.register {
  name = "convert_length",
  description = "Converts a length between metres, feet and miles.",
  category = "units",
  parameters = {
    type = "object",
    properties = {
      value = { type = "number" },
      from = { enum = { "m", "ft", "mi" } },
      to = { enum = { "m", "ft", "mi" } },
    },
    required = { "value", "from", "to" },
  },
  execute = function(p)
    local metres = { m = 1, ft = 0.3048, mi = 1609.344 }
    local expression = ("%s * %s / %s"):format(p.value, metres[p.from], metres[p.to])
    return Tool.execute("calculator", { input = expression }).result.result
  end,
}

print(("26.2 miles are %.1f metres"):format(convert:execute({ value = 26.2, from = "mi", to = "m" }).result))

local ok, e = pcall(convert.execute, { value = "far", from = "mi", to = "m" })
print(ok, e)
