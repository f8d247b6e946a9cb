return { b = { 1, 2.5, "three" }, a = true, empty = {} }
