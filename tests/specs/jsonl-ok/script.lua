io.write("one\n")
io.stderr:write("two\n")
return { x = 1 }
