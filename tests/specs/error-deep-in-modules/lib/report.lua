local sums = require("lib.sums")
local report = {}

function report.write(rows)
	return "合計: " .. sums.pages(rows)
end

return report
