-- A check that ends with an exit code, as scripts in CI do: 0 where all is well, 1 where something is not.
-- llmspell run examples/compat/exit.lua

local failed = 0

local function check(what, holds)
  print((holds and "ok    " or "FAILED ") .. what)
  if not holds then
    failed = failed + 1
  end
end

check("a hash is verified", Tool.execute("hash-calculator", {
  operation = "verify",
  algorithm = "sha256",
  input = "hello",
  hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
}).success)

local valid = Tool.execute("data-validation", {
  input = { name = "Ada", age = 36 },
  schema = { type = "object", required = { "name", "age" } },
})
check("data has its form", valid.result.valid)

local ok, problem = pcall(Tool.execute, "no-such-tool", {})
check("an unknown tool is an error", not ok and tostring(problem):find("no%-such%-tool") ~= nil)

if failed > 0 then
  os.exit(1)
end
print("all is well")
