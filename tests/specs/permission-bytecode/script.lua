load(string.dump(print))
