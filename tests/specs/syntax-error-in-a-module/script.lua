local bad = require("lib.bad")
