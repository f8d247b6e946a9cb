error({ kind = "limit", message = "the shelf is full", code = 7 })
