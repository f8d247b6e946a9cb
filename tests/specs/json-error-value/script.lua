error({ code = 7, why = "full" })
