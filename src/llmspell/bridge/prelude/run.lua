-- `Run`: what this run has used so far, and what it may.

local host = ...
local ask = host.ask

local Run = {}

--- Tokens, `cost_usd`, `calls` and `seconds` so far. Where calls have no price: `unpriced_calls`, and no cost.
function Run.usage()
  return ask("Run.usage")
end

--- The limits, 0 where there is none; in `left`, what is left of those there are.
function Run.limits()
  return ask("Run.limits")
end

--- Seconds since the run began; they go on while the script waits.
function Run.clock()
  return ask("Run.clock")
end

return Run
