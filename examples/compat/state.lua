-- What a script keeps, in scopes, and the short forms of later scripts.
-- llmspell run examples/compat/state.lua

State.save("global", "config", { theme = "dark", sizes = { 1, 2, 3 } })
State.save("custom", "counter", 1)

local config = State.load("global", "config")
print(config.theme, #config.sizes)

State.save("custom", "counter", State.load("custom", "counter") + 1)
print("counter " .. State.load("custom", "counter"))

local keys = State.list_keys("custom")
print(#keys .. " key")
State.delete("custom", "counter")
print(State.load("custom", "counter") == nil and "gone" or "still there")

State.set("name", "Ada")
State.agent_set("greeter", "greeted", true)
print(State.get("name"), State.agent_get("greeter", "greeted"))
