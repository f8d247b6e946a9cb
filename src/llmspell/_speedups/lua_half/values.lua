-- ------------------------------------------------------------------------------------------------ values out

-- One walk of a call's values: `w` holds the shape, the scalars, the path from the root and what is on it.
local walk

local function refuse(w, what)
  local where = {}
  for i = 1, w.depth do
    local key = w.path[i]
    local kind = type(key)
    if math_type(key) == "integer" then
      where[#where + 1] = "[" .. key .. "]"
    else
      if kind == "string" then
        key = sub(key, 1, 80)
      elseif kind == "table" then
        key = "a table" -- not by tostring, which would run the script's `__tostring`
      end
      where[#where + 1] = (#where > 0 and "." or "") .. tostring(key)
    end
  end
  local place = concat(where)
  w.fault = what .. (place ~= "" and " at `" .. place .. "`" or "")
  raw_error(w, 0)
end

local function list_length(t)
  local n = rawlen(t)
  local seen = 0
  for k in next, t do
    if math_type(k) ~= "integer" or k < 1 or k > n then
      return nil
    end
    seen = seen + 1
  end
  return seen == n and n or nil
end

local function put(w, v, kind)
  local n = w.n + 1
  w.n = n
  w[n] = v
  if kind == "string" then
    w.bytes = w.bytes + #v
    if w.bytes > MAX_BYTES then
      refuse(w, "more than " .. MAX_BYTES // (1024 * 1024) .. " MB of text")
    end
  end
end

local function code(w, letter)
  local n = w.nodes + 1
  w.nodes = n
  w.shape[n] = letter
  if n > MAX_NODES then
    refuse(w, "a table of more than " .. MAX_NODES .. " values")
  end
end

local function walk_table(w, t)
  if w.on_path[t] then
    refuse(w, "a cycle")
  end
  local depth = w.depth + 1
  if depth > MAX_DEPTH then
    refuse(w, "tables nested more than " .. MAX_DEPTH .. " deep")
  end
  w.on_path[t] = true
  local n = list_length(t)
  if n == 0 then
    code(w, real_metatable(t) == array_mark and "e" or "{")
    if w.shape[w.nodes] == "{" then
      code(w, "}")
    end
  elseif n then
    code(w, "[")
    for i = 1, n do
      w.depth = depth
      w.path[depth] = i
      walk(w, rawget(t, i))
    end
    code(w, "]")
  else
    code(w, "{")
    for k, v in next, t do
      w.depth = depth
      w.path[depth] = k
      local kind = type(k)
      if kind ~= "string" and (w.strict or (kind ~= "number" and kind ~= "boolean")) then
        refuse(w, kind == "number" and "a table with mixed keys" or "a key that is a " .. kind)
      end
      code(w, "v")
      put(w, k, kind)
      walk(w, v)
    end
    code(w, "}")
  end
  w.depth = depth - 1
  w.on_path[t] = nil
end

function walk(w, v)
  local kind = type(v)
  if kind == "table" then
    if rawequal(v, null) then
      return code(w, "0")
    end
    return walk_table(w, v)
  elseif kind == "nil" then
    return code(w, "n")
  elseif kind == "number" then
    if w.strict and (v ~= v or v == huge or v == -huge) then
      refuse(w, v ~= v and "NaN" or "an infinity")
    end
  elseif kind ~= "string" and kind ~= "boolean" then
    refuse(w, "a " .. kind)
  end
  code(w, "v")
  put(w, v, kind)
end

local function walk_all(w, ...)
  local values, n = { ... }, select("#", ...)
  for i = 1, n do
    walk(w, values[i])
  end
end

local function is_flat(...)
  local n = select("#", ...)
  if n > 8 then
    return false
  end
  for i = 1, n do
    local v = select(i, ...)
    local kind = math_type(v) or type(v)
    if kind == "string" then
      if #v > LONG then
        return false
      end
    elseif kind ~= "integer" and kind ~= "boolean" then
      return false
    end
  end
  return true
end

-- The values as they cross: a shape, then scalars. Raises a table with `fault` where one cannot.
local function flatten(strict, ...)
  if is_flat(...) then
    return false, ...
  end
  local w = { n = 0, nodes = 0, bytes = 0, depth = 0, shape = {}, path = {}, on_path = {}, strict = strict }
  walk_all(w, ...)
  local shape = concat(w.shape)
  local first = 1
  while w.n - first >= INLINE do
    guarded(raw_pcall(cb_feed, unpack(w, first, first + INLINE - 1)))
    first = first + INLINE
  end
  return shape, unpack(w, first, w.n)
end

-- ------------------------------------------------------------------------------------------------ values in

local function fetch_rest(values)
  while true do
    local more = pack(guarded(raw_pcall(cb_take)))
    guarded(raw_pcall(cb_arm))
    if more.n == 0 then
      return
    end
    local n = #values
    for i = 1, more.n do
      values[n + i] = more[i]
    end
  end
end

-- A batch of one stream's texts, the commonest crossing of all, has no shape to walk: shape `C`, the stream, then index,
-- type, text and time of each. Its metadata went ahead, and goes again only where it has changed: one table for all.
local templates = {} -- by stream

local function text_chunks(stream_id, ...)
  local values, template = { ... }, templates[stream_id]
  local out, n = raw_setmetatable({}, array_mark), 0
  for i = 1, #values, 4 do
    n = n + 1
    out[n] = {
      stream_id = stream_id,
      chunk_index = values[i],
      content = { type = values[i + 1], text = values[i + 2] },
      metadata = template,
      timestamp = values[i + 3],
    }
  end
  return out
end

local function build(shape, ...)
  if not shape then
    return ...
  elseif shape == "C" then
    return text_chunks(...)
  end
  local values = { ... }
  local at, i = 0, 0
  local one, template
  if byte(shape) == 43 then -- +
    fetch_rest(values)
    i = 1
  end
  local function object()
    local t = {}
    while true do
      i = i + 1
      local c = byte(shape, i)
      if c == 125 then -- }
        return t
      end
      at = at + 1
      local key = values[at]
      i = i + 1
      rawset(t, key, one(byte(shape, i)))
    end
  end
  local function list()
    local t, n = raw_setmetatable({}, array_mark), 0
    while true do
      i = i + 1
      local c = byte(shape, i)
      if c == 93 then -- ]
        return t
      end
      n = n + 1
      rawset(t, n, one(c))
    end
  end
  function one(c)
    if c == 118 then -- v
      at = at + 1
      return values[at]
    elseif c == 123 then
      return object()
    elseif c == 91 then
      return list()
    elseif c == 101 then -- e
      return raw_setmetatable({}, array_mark)
    elseif c == 48 then -- 0
      return null
    elseif c == 99 then -- c
      at = at + 5
      return {
        stream_id = values[at - 4],
        chunk_index = values[at - 3],
        content = { type = values[at - 2], text = values[at - 1] },
        metadata = template,
        timestamp = values[at],
      }
    elseif c == 109 then -- m
      i = i + 1
      template = one(byte(shape, i))
      i = i + 1
      return one(byte(shape, i))
    end
    return nil
  end
  local out, n = {}, 0
  while i < #shape do
    i = i + 1
    n = n + 1
    out[n] = one(byte(shape, i))
  end
  return unpack(out, 1, n)
end

