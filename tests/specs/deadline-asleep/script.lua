print("asleep")
Async.sleep(60)
