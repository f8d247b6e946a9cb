-- A session: chunks that come one after another into one Lua state. What this file gives are the numbers of functions
-- that the host calls: one that runs a chunk, one that tells what a name has, for completion.

local host = ...
local pcall, real_metatable = host.public.pcall, host.real_metatable
local next, type, rawget, rawlen, tostring, select = next, type, rawget, rawlen, tostring, select
local math_type, load_text, null = math.type, host.load_text, host.null
local gsub, sub, rep, find, format, byte = string.gsub, string.sub, string.rep, string.find, string.format, string.byte
local sort, concat, pack = table.sort, table.concat, table.pack
local globals, traced = _G, { thread = "coroutine" }

-- ------------------------------------------------------------------------------------------------ what values look like

local MOST_ITEMS, MOST_NODES, DEEPEST = 100, 1000, 8 -- of one table; of all that one value has; of tables in tables
local LONGEST, LONGEST_KEY = 1000, 100 -- bytes of a string in a table, of a key
local LONGEST_TEXT = 1024 * 1024 -- bytes of a string that stands by itself
local WIDTH, SHORT = 72, 20 -- columns of a table on one line; of an item that stands beside others

local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

local function escaped(c)
  return ESCAPES[c] or format("\\x%02x", byte(c))
end

-- `s` without a character that was cut at its end.
local function whole(s)
  return (gsub(s, "[\xC0-\xFF][\x80-\xBF]*$", ""))
end

local function quoted(s, longest)
  local more = ""
  if #s > longest then
    more = format("… (%d bytes)", #s)
    s = whole(sub(s, 1, longest))
  end
  return '"' .. gsub(s, '[%c"\\]', escaped) .. '"' .. more
end

local RESERVED = {}
for word in string.gmatch(
  "and break do else elseif end false for function goto if in local nil not or repeat return then true until while",
  "%a+"
) do
  RESERVED[word] = true
end

-- What `tostring` has for a key, whose metatable may be the script's.
local function text_of(key)
  local ok, text = pcall(tostring, key)
  return ok and text or type(key)
end

local function key_text(key)
  if type(key) == "string" then
    if #key <= LONGEST_KEY and find(key, "^[%a_][%w_]*$") and not RESERVED[key] then
      return key
    end
    return "[" .. quoted(key, LONGEST_KEY) .. "]"
  end
  return "[" .. sub(text_of(key), 1, LONGEST_KEY) .. "]"
end

-- Strings before others, each sort in its order.
local function before(a, b)
  local x, y = type(a), type(b)
  if x ~= y then
    return x == "string" or (y ~= "string" and x < y)
  elseif x == "string" or x == "number" then
    return a < b
  end
  return text_of(a) < text_of(b)
end

local inspect

-- What stands in a table's braces, a text each.
local function items_of(value, meta, state, depth)
  local items, n, length = {}, 0, rawlen(value)
  local function add(text)
    n = n + 1
    items[n] = text
  end
  for i = 1, length do
    if n == MOST_ITEMS or state.nodes >= MOST_NODES then
      add(format("… %d more", length - i + 1))
      return items
    end
    add(inspect(rawget(value, i), state, depth))
  end
  local keys, count = {}, 0
  local step, over, first = next, value, nil
  local own_pairs = type(meta) == "table" and rawget(meta, "__pairs")
  if own_pairs then
    step, over, first = own_pairs(value)
  end
  for key in step, over, first do
    if not (math_type(key) == "integer" and key >= 1 and key <= length) then
      count = count + 1
      keys[count] = key
      if count > MOST_ITEMS * 10 then
        break
      end
    end
  end
  sort(keys, before)
  for i = 1, count do
    if n >= MOST_ITEMS or state.nodes >= MOST_NODES then
      add("…")
      break
    end
    local key = keys[i]
    local item = rawget(value, key)
    if item == nil and own_pairs then
      item = value[key]
    end
    add(key_text(key) .. " = " .. inspect(item, state, depth))
  end
  return items
end

-- Short items, as many on a line as it has room for.
local function filled(items, width)
  local lines, n, line = {}, 0, nil
  for i = 1, #items do
    if line and #line + #items[i] + 2 <= width then
      line = line .. ", " .. items[i]
    else
      n = n + (line and 1 or 0)
      lines[n], line = line, items[i]
    end
  end
  lines[n + 1], lines[0] = line, nil
  return lines
end

local function table_text(value, meta, state, depth)
  if state.around[value] then
    return "<the table around it>"
  elseif depth >= DEEPEST then
    return "{…}"
  end
  state.around[value] = true
  local items = items_of(value, meta, state, depth + 1)
  state.around[value] = nil
  local name = type(meta) == "table" and rawget(meta, "__name")
  local label = type(name) == "string" and #name < LONGEST_KEY and name .. " " or ""
  if #items == 0 then
    return label .. "{}"
  end
  local size, longest = 0, 0
  for i = 1, #items do
    local long = find(items[i], "\n", 1, true) and WIDTH or #items[i]
    size, longest = size + long + 2, long > longest and long or longest
  end
  if size + depth * 2 <= WIDTH then
    return label .. "{ " .. concat(items, ", ") .. " }"
  end
  local indent = "\n" .. rep("  ", depth + 1)
  local lines = longest <= SHORT and filled(items, WIDTH - depth * 2) or items
  return label .. "{" .. indent .. concat(lines, "," .. indent) .. "\n" .. rep("  ", depth) .. "}"
end

function inspect(value, state, depth)
  state.nodes = state.nodes + 1
  local kind = type(value)
  if kind == "string" then
    return quoted(value, LONGEST)
  elseif kind ~= "table" then
    return tostring(value)
  elseif value == null then
    return "JSON.null"
  end
  local meta = real_metatable(value)
  if type(meta) == "table" and rawget(meta, "__tostring") ~= nil then
    local ok, text = pcall(tostring, value)
    return ok and "<" .. gsub(quoted(text, LONGEST), '^"(.*)"', "%1") .. ">" or "<a table whose __tostring fails>"
  end
  return table_text(value, meta, state, depth)
end

-- A value of an input as it is printed: a string as it is, as Lua's own `print` has it.
local function shown(value)
  if type(value) == "string" then
    return #value <= LONGEST_TEXT and value or whole(sub(value, 1, LONGEST_TEXT)) .. format("… (%d bytes)", #value)
  end
  return inspect(value, { nodes = 0, around = {} }, 0)
end

-- ------------------------------------------------------------------------------------------------ chunks

local function printed(...)
  local n = select("#", ...)
  local texts = pack(...)
  for i = 1, n do
    texts[i] = shown(texts[i])
  end
  texts.n = nil
  return { texts = host.mark_array(texts) }
end

-- A tail call: the chunk is told as that in tracebacks, by no name of ours.
local function run(f)
  return f()
end

-- Runs a chunk, which may be an expression; its values as texts, or why it is no Lua.
local function evaluate(text, name)
  local f = load_text("return " .. text, "@" .. name, "t", globals)
  if not f then
    local message
    f, message = load_text(text, "@" .. name, "t", globals)
    if not f then
      host.caught(message)
      return { refused = message }
    end
  end
  return printed(run(f))
end

-- ------------------------------------------------------------------------------------------------ completion

local MOST_NAMES, MOST_PARENTS = 2000, 10

local function add_names(found, value)
  local n = #found
  for key in next, value do
    if type(key) == "string" and #key <= LONGEST_KEY and find(key, "^[%a_][%w_]*$") then
      n = n + 1
      found[n] = key
      if n >= MOST_NAMES then
        break
      end
    end
  end
end

local function parent_of(value)
  local meta = real_metatable(value)
  local parent = type(meta) == "table" and rawget(meta, "__index")
  return type(parent) == "table" and parent or nil, meta
end

-- What the value at `path` from the globals on has: names, and what it is. Nothing of the script's is called.
local function members(path)
  local value, meta = globals, nil
  for i = 1, #path do
    local at, found = value, nil
    for _ = 1, MOST_PARENTS do
      found = type(at) == "table" and rawget(at, path[i]) or nil
      if found ~= nil or type(at) ~= "table" then
        break
      end
      at = parent_of(at)
    end
    value = found
  end
  local names, kind = {}, traced[type(value)] or type(value)
  local at = value
  for _ = 1, MOST_PARENTS do
    if type(at) == "table" then
      add_names(names, at)
    elseif at == nil then
      break
    end
    at, meta = parent_of(at)
    if type(meta) == "table" and type(rawget(meta, "__name")) == "string" and kind == "table" then
      kind = sub(rawget(meta, "__name"), 1, LONGEST_KEY)
    end
  end
  return { names = host.mark_array(names), kind = kind, stream = host.streams[value] ~= nil }
end

host.session = { evaluate = host.lend(evaluate), members = host.lend(members) }
host.ask("session.ready", host.session.evaluate, host.session.members)
host.serve()
