-- Tries texts nested deeper than the parser's stack.
-- Ends: done
local n = 100000
for _, text in ipairs({
  "return " .. ("("):rep(n) .. "1" .. (")"):rep(n),
  "return " .. ("{"):rep(n) .. ("}"):rep(n),
  "return " .. ("function() return "):rep(n) .. "1" .. (" end"):rep(n),
  ("do "):rep(n) .. (" end"):rep(n),
  ("while x do "):rep(n) .. (" end"):rep(n),
  "return " .. ("-"):rep(n + 1, " ") .. "1",
  "return " .. ("not "):rep(n) .. "1",
  "return " .. ("1 .. "):rep(n) .. "1",
  "return " .. ("2 ^ "):rep(n) .. "1",
  "x" .. (".x"):rep(n) .. (" = x" .. (".x"):rep(n)):rep(3),
  "x" .. (", x"):rep(n) .. " = 1",
  "local x" .. (", x"):rep(n),
  "return function(x" .. (", x"):rep(n) .. ") end",
  "return " .. ("x{"):rep(n) .. ("}"):rep(n),
  ("("):rep(n), ("["):rep(n), ("{"):rep(n), ("--[" .. ("="):rep(n) .. "[\n"):rep(3), "return '\\z" .. (" "):rep(n),
}) do
  local f, e = load(text)
  assert(f or #e < 1000, e)
end
