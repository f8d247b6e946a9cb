if not RAG then
  print("no RAG here")
end
Memory.store("x")
