-- An answer as data: the schema says which fields it has, and `data` is a table that has them.

local book = {
  type = "object",
  properties = {
    title = { type = "string" },
    year = { type = "integer", description = "when it was first published" },
  },
  required = { "title", "year" },
  additionalProperties = false,
}

local librarian = Agent.create {
  name = "librarian",
  system_prompt = "You know books. Answer with one book.",
  response_schema = book,
  max_tokens = 200,
}

local answer = librarian:execute("A well-known novel about the sea.")
print(answer.data.title, answer.data.year)
print("asked for by way of: " .. answer.metadata.structured)

-- Streamed: `partial` is the table as far as it has come.
local s = librarian:stream_execute("Another one, of this century.")
for chunk in s do
  local partial = chunk.content.partial
  if partial and partial.title then
    io.stderr:write(partial.title, "\n")
  end
end
local another = s:collect().data
print(another.title, another.year)
