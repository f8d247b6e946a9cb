-- One word for each review: llmspell map examples/map/sentiment.lua examples/map/reviews.csv -j 8 --results out.jsonl
local text = ARGS.text or "The lamp is bright, and it came a week early."
local agent = Agent.create{
  system_prompt = "Say in one word whether a review is positive, negative or mixed.",
  temperature = 0,
  max_tokens = 8,
}
local answer = agent:execute(text).text
return { id = ARGS.id, sentiment = answer:match("%a+") }
