error("first line\nsecond \27[31mline")
