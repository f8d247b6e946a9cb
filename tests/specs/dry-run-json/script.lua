error("never run")
