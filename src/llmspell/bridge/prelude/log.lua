-- `Log` (also `Debug`): lines for whoever runs the script, never on standard output.

local host = ...
local ask = host.ask
local type, tostring = type, tostring

local Log = {}

local function level(name)
  local op = "Log." .. name
  return function(message, fields)
    if fields ~= nil and type(fields) ~= "table" then
      fields = { value = fields }
    end
    ask(op, type(message) == "string" and message or tostring(message), fields)
  end
end

--- Each takes a message and, if wanted, a table of fields.
Log.debug, Log.info, Log.warn, Log.error = level("debug"), level("info"), level("warn"), level("error")

--- Measures: `local t = Debug.timer("work") … t:stop()` logs the seconds at debug and gives them.
function Log.timer(name)
  local from = ask("Run.clock")
  local timer = {}
  function timer.stop()
    local seconds = ask("Run.clock") - from
    ask("Log.debug", tostring(name), { seconds = seconds })
    return seconds
  end
  timer.elapsed = function()
    return ask("Run.clock") - from
  end
  return timer
end

return Log
