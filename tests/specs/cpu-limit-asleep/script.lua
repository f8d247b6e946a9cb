print("asleep")
Async.sleep(1)
print("awake")
