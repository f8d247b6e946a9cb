Agent.create({ model = "opnai/gpt-4o-mini" })
require("lib.part")
