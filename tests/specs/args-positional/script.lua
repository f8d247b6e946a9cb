print(#ARGS, ARGS[0], Args == ARGS, arg == ARGS)
for i = 1, #ARGS do
  print(i, "[" .. ARGS[i] .. "]")
end
