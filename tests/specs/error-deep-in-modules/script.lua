local report = require("lib.report")

local function main(rows)
	return report.write(rows)
end

print(main({ { title = "詩", pages = 12 }, { title = "俳句" } }))
