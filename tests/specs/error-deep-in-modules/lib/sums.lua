local sums = {}

function sums.pages(rows)
	local total = 0
	for _, row in ipairs(rows) do
		--[[ 頁 ]]	total = total + row.pages -- 本の頁を全部数えて、合計に足して、それから返します
	end
	return total
end

return sums
