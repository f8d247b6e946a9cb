local function check(order)
  if order.count > order.stock then
    error({ code = 7, why = "not enough on the shelf", missing = { order.count - order.stock, "pieces" } })
  end
end

check({ count = 12, stock = 5 })
