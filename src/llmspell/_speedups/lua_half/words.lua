-- What replacements of Lua's own functions need, so that they complain as those do. For both engines.

-- Whether a function is written in C: while one runs, nothing can stop it.
function host.is_c(f)
  return getinfo(f, "S").what == "C"
end

-- As `load` of a text. The parser takes time in the square of some texts' length (`a and a and …`, `elseif`), and is C:
-- a long text is handed to it in pieces, between which it can be stopped.
local LONG_TEXT, PIECE = 16384, 256

function host.load_text(text, name, ...)
  if #text <= LONG_TEXT then
    return raw_load(text, name, ...)
  end
  local at = 1
  return raw_load(function()
    host.safepoint()
    local from = at
    at = at + PIECE
    return sub(text, from, at - 1)
  end, name, ...)
end

-- Where the function at `level` is, as it stands before a message; level 1 calls this.
function host.place(level)
  local info = getinfo(level + 1, "Sl")
  return info and info.currentline > 0 and info.short_src .. ":" .. info.currentline .. ": " or ""
end

-- Marks a table as a list. Raises in the words of Lua's setmetatable where its metatable is closed.
function host.mark_array(t)
  local mt = real_metatable(t)
  if type(mt) == "table" and mt ~= array_mark and rawget(mt, "__metatable") ~= nil then
    raw_error("cannot change a protected metatable", 3)
  end
  return set_metatable(t, array_mark)
end

-- A list from the host is as free to be given a metatable as any table of the script's.
function host.unmark_array(t)
  if real_metatable(t) == array_mark then
    set_metatable(t, nil)
  end
end

-- Calls one of Lua's own functions for a replacement of it, so that what it complains of is worded as ever and put at
-- the script's line; `f` stands in the replacement itself. An error of the script's own passes as it is, and its
-- frames are kept for when nobody catches it.
local function worded(name, ok, ...)
  if ok then
    return ...
  end
  local e = ...
  if type(e) ~= "string" then
    raw_error(e, 0)
  end
  if find(e, "^bad argument #%d+ to '[^']*' ") then
    raw_error(gsub(e, "to '[^']*' ", "to '" .. name .. "' ", 1), 3)
  elseif find(e, "^invalid ") or find(e, "^wrong number of arguments") or find(e, "^object length is not")
    or find(e, "^resulting string too large") or e == "cannot change a protected metatable" then
    raw_error(e, 3)
  end
  e = gsub(e, "^%[llmspell%]:%d+: (attempt to compare )", "%1") -- a comparison that stands in for Lua's own
  raw_error(gsub(e, "^%?:%-?%d+: (attempt to compare )", "%1"), 0) -- the same, without the names of its source
end

function host.lua(name, f, ...)
  return worded(name, host.handed_on(f, host.remember, ...))
end

