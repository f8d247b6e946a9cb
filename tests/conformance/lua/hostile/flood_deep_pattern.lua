-- Tries patterns deeper than the matcher's stack, with more captures than it has, and cut off in the middle.
-- Ends: done
local s = ("a"):rep(1000000)
for _, p in ipairs({
  ("(a"):rep(300000) .. (")"):rep(300000), ("(a)"):rep(300000), ("a?"):rep(300000) .. "b", ("a-"):rep(300000) .. "$",
  ("%b()"):rep(100000), ("%f[a]"):rep(100000), ("[a"):rep(100000), ("%"):rep(100001), "(()", "%9", "[%", "%b", "%f",
}) do
  local ok, e = pcall(string.find, s, "^" .. p)
  assert(ok or #tostring(e) < 1000, e)
  ok, e = pcall(string.gsub, s, "^" .. p, "%9")
  assert(ok or #tostring(e) < 1000, e)
end
