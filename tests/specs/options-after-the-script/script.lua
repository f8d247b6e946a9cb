return ARGS[1] == nil
