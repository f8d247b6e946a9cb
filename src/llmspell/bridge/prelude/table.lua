-- The functions of `table` whose loops run in C, where nothing can stop them, written so that long ones run in Lua:
-- an index can be anything (`t[1 << 60]`), and a metamethod may lie. What is short, or bounded by the elements that
-- are there, goes to Lua's own; the words of errors are Lua's own, too. Source: LUA.md §3.2, §9.

local host = ...
local lua, real_metatable, is_c = host.lua, host.real_metatable, host.is_c

local type, select, rawlen, error = type, select, rawlen, error
local math_type, tointeger, ult, maxinteger = math.type, math.tointeger, math.ult, math.maxinteger
local raw_insert, raw_remove, raw_concat = table.insert, table.remove, table.concat
local raw_move, raw_sort, raw_unpack = table.move, table.sort, table.unpack

local FEW = 100000 -- elements that C may go through at one go
local MOST, SURE = 1000000, 100 -- values that Lua's stack may have room for; that it has

local function plain(t)
  return type(t) == "table" and real_metatable(t) == nil
end

-- As Lua's own see it: `__len` counts, once.
local function length(t)
  local n = #t
  if math_type(n) ~= "integer" then
    n = tointeger(n)
    if not n then
      error("object length is not an integer", 3)
    end
  end
  return n
end

local function integer(v, i, name)
  local n = tointeger(v)
  if n then
    return n
  end
  local why = math_type(v) == "float" and "number has no integer representation"
    or "number expected, got " .. type(v)
  error("bad argument #" .. i .. " to '" .. name .. "' (" .. why .. ")", 3)
end

function table.insert(...)
  local n = select("#", ...)
  local t, pos, v = ...
  if type(t) ~= "table" or n < 2 or n > 3 then
    return (lua("insert", raw_insert, ...))
  elseif n == 2 then
    t[#t + 1] = pos
    return
  end
  local e = (real_metatable(t) and length(t) or #t) + 1
  local at = math_type(pos) == "integer" and pos or integer(pos, 2, "insert")
  if not ult(at - 1, e) then
    error("bad argument #2 to 'insert' (position out of bounds)", 2)
  elseif e - at < FEW and plain(t) then
    return raw_insert(t, at, v)
  end
  for i = e, at + 1, -1 do
    t[i] = t[i - 1]
  end
  t[at] = v
end

function table.remove(t, pos)
  if type(t) ~= "table" then
    return (lua("remove", raw_remove, t, pos))
  end
  local size = real_metatable(t) and length(t) or #t
  if pos == nil then
    local last = t[size]
    t[size] = nil
    return last
  end
  local at = math_type(pos) == "integer" and pos or integer(pos, 2, "remove")
  if at ~= size and not (ult(at - 1, size) or at - 1 == size) then
    error("bad argument #2 to 'remove' (position out of bounds)", 2)
  end
  if size - at < FEW and at > 0 and plain(t) then
    return raw_remove(t, at)
  end
  local removed = t[at]
  for i = at, size - 1 do
    t[i] = t[i + 1]
  end
  t[at < size and size or at] = nil
  return removed
end

function table.concat(...)
  local t, sep, i, j = ...
  if type(t) ~= "table" or real_metatable(t) == nil or (sep ~= nil and type(sep) ~= "string") then
    return (lua("concat", raw_concat, ...)) -- as long as there are strings: bounded by memory
  end
  local last = length(t)
  i = i == nil and 1 or integer(i, 3, "concat")
  last = j == nil and last or integer(j, 4, "concat")
  local parts, n = {}, 0
  local at = i
  while at <= last do
    local v = t[at]
    local kind = type(v)
    if kind ~= "string" and kind ~= "number" then
      error("invalid value (" .. kind .. ") at index " .. at .. " in table for 'concat'", 2)
    end
    n = n + 1
    parts[n] = v
    if at == maxinteger then
      break
    end
    at = at + 1
  end
  return raw_concat(parts, sep)
end

function table.move(...)
  local a1, f, e, t, a2 = ...
  local from, to, at = tointeger(f), tointeger(e), tointeger(t)
  if
    type(a1) ~= "table" or (a2 ~= nil and type(a2) ~= "table") or not (from and to and at)
    or to < from or (to - from >= 0 and to - from < FEW and plain(a1) and (a2 == nil or plain(a2)))
  then
    return (lua("move", raw_move, ...))
  end
  local target = a2 == nil and a1 or a2
  if not (from > 0 or to < maxinteger + from) then
    error("bad argument #3 to 'move' (too many elements to move)", 2)
  end
  local n = to - from + 1
  if at > maxinteger - n + 1 then
    error("bad argument #4 to 'move' (destination wrap around)", 2)
  end
  if at > to or at <= from or (a2 ~= nil and a1 ~= a2) then
    for k = 0, n - 1 do
      target[at + k] = a1[from + k]
    end
  else
    for k = n - 1, 0, -1 do
      target[at + k] = a1[from + k]
    end
  end
  return target
end

local function less(a, b)
  return a < b
end

function table.sort(...)
  local t, comp = ...
  if type(comp) == "function" and is_c(comp) then -- it may take long for two values already
    lua("sort", raw_sort, t, function(a, b)
      return (comp(a, b))
    end)
  elseif comp == nil and type(t) == "table" and (real_metatable(t) ~= nil or rawlen(t) > FEW) then
    lua("sort", raw_sort, t, less)
  else
    lua("sort", raw_sort, ...)
  end
end

function table.unpack(t, i, j)
  if type(t) == "table" then
    local from, to = i, j
    local own = real_metatable(t) == nil
    if math_type(i) ~= "integer" then
      from = i == nil and 1 or integer(i, 2, "unpack")
    end
    if math_type(j) ~= "integer" then
      to = j == nil and (own and #t or length(t)) or integer(j, 3, "unpack")
    end
    if from > to then
      return
    elseif to - from >= 0 and to - from < SURE and own then
      return raw_unpack(t, from, to)
    elseif to - from < 0 or to - from >= MOST then
      error("too many results to unpack", 2)
    elseif not own then
      local values = {}
      for k = from, to do
        values[k - from + 1] = t[k]
      end
      t, from, to = values, 1, to - from + 1
    end
    return lua("unpack", raw_unpack, t, from, to)
  end
  return lua("unpack", raw_unpack, t, i, j)
end
