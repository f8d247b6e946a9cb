print(ARGS.name, ARGS.size, ARGS.flag, ARGS.last, ARGS.none)
