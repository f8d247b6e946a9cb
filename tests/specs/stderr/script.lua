io.stderr:write("to err", "\n")
io.stdout:write("to out", "\n")
