print("printed")
return "returned"
