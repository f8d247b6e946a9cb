-- What both engines say in Lua: the marks of values, error tables, and the places of errors.

local null = raw_setmetatable({}, {
  __tostring = function()
    return "null"
  end,
  __name = "null",
  __metatable = false,
  __newindex = function()
    raw_error("JSON.null cannot be changed", 2)
  end,
})
local array_mark = { __name = "array", __metatable = false } -- closed: a `__gc` in it would be every list's

-- ------------------------------------------------------------------------------------------------ errors

local origin = raw_setmetatable({}, { __mode = "k" }) -- error table → the id of the Python exception it stands for
local error_line

local error_methods = raw_setmetatable({}, {
  __index = function(_, name)
    local f = string_library[name]
    if f then
      return function(e, ...)
        return f(error_line(e), ...)
      end
    end
  end,
})

local error_mt = {
  __index = error_methods,
  __tostring = function(e)
    return error_line(e)
  end,
  __concat = function(a, b)
    return tostring(a) .. tostring(b)
  end,
  __len = function(e)
    return #error_line(e)
  end,
  __name = "error",
  __metatable = false,
}

function error_line(e)
  local message, hint = rawget(e, "message"), rawget(e, "hint")
  if hint == nil or hint == null then
    return tostring(message)
  end
  return tostring(message) .. " (" .. tostring(hint) .. ")"
end

-- The script's own frames from `level` outwards (innermost first), at most 20.
local function frames_of(co, level)
  local frames = {}
  while #frames < 20 do
    local info
    if co then
      info = getinfo(co, level, "Sln")
    else
      info = getinfo(level, "Sln")
    end
    if not info then
      break
    end
    if info.source ~= OWN and info.what ~= "C" and info.currentline > 0 then
      frames[#frames + 1] = {
        source = sub(info.source, 1, 1) == "@" and sub(info.source, 2) or info.short_src,
        line = info.currentline,
        what = info.name or (info.what == "main" and "main chunk" or "function"),
      }
    end
    level = level + 1
  end
  return frames
end

-- An error table of llmspell's: `fields` as LLMSpellError.to_dict gives them, `id` of the exception they stand for.
function host.make_error(fields, id)
  local frames = frames_of(nil, 3)
  local top = frames[1]
  if top and fields.line == nil then
    fields.script, fields.line = top.source, top.line
  end
  if id then
    origin[fields] = id
  end
  return raw_setmetatable(fields, error_mt)
end

-- Raises an error that the prelude itself finds; the driver makes a Python exception of it if nobody catches it.
function host.raise(kind, message, hint)
  local e = host.make_error({ kind = kind, message = message, hint = hint, retryable = false })
  origin[e] = 0
  raw_error(e, 0)
end

function host.cannot_wait(op)
  host.raise(
    "not_supported",
    "`" .. op .. "` waits, and Lua cannot wait inside a C function (a table.sort comparator, a string.gsub callback, …)",
    "collect what is needed first, and make the call outside of it"
  )
end

-- How a finished fiber ended: true and its values, or false and its error. Once only.
function host.outcome_of(keeper, id)
  local got = keeper[id]
  keeper[id] = nil
  if got then
    return unpack(got, 1, got.n)
  end
  return false, host.make_error({ kind = "cancelled", message = "the task was cancelled", retryable = false })
end
