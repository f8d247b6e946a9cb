print("written")
return { 1, "zwei" }
