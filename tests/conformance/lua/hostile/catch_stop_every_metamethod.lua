-- Tries to be in a different metamethod each time, the last of them without end.
-- Ends: timeout
local mt, names = {}, {
  "__add", "__sub", "__mul", "__div", "__mod", "__pow", "__idiv", "__band", "__bor", "__bxor", "__shl", "__shr",
  "__concat", "__eq", "__lt", "__le", "__unm", "__bnot", "__len", "__index", "__newindex", "__call", "__close",
}
local uses = {
  function(a, b) return a + b end, function(a, b) return a - b end, function(a, b) return a * b end,
  function(a, b) return a / b end, function(a, b) return a % b end, function(a, b) return a ^ b end,
  function(a, b) return a // b end, function(a, b) return a & b end, function(a, b) return a | b end,
  function(a, b) return a ~ b end, function(a, b) return a << b end, function(a, b) return a >> b end,
  function(a, b) return a .. b end, function(a, b) return a == b end, function(a, b) return a < b end,
  function(a, b) return a <= b end, function(a) return -a end, function(a) return ~a end, function(a) return #a end,
  function(a) return a.x end, function(a, b) a.x = b end, function(a) return a() end,
  function(a) local x <close> = a end,
}
for i, name in ipairs(names) do
  mt[name] = function()
    local following = uses[i + 1]
    while true do
      if following then
        pcall(following, setmetatable({}, mt), setmetatable({}, mt))
      end
    end
  end
end
uses[1](setmetatable({}, mt), setmetatable({}, mt))
