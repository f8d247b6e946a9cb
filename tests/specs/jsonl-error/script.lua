print("written")
error("lost")
