print("never run")
error("nor this")
