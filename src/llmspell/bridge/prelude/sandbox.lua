-- What a script may use of Lua's own libraries. Taken away, or made safe; runs once, before anything of the script's.
-- Source: LUA.md §1.3 and §9, SCRIPT_API.md "Plain Lua 5.4".

local host = ...
local public = host.public

local type, select, rawget, setmetatable, getmetatable = type, select, rawget, setmetatable, getmetatable
local error, pairs, math_type = error, pairs, math.type
local raw_load, raw_rep, raw_collect, raw_traceback = host.raw_load, string.rep, collectgarbage, debug.traceback

local LARGEST_SOURCE = 8 * 1024 * 1024 -- the parser cannot be interrupted

-- A function that is not there for scripts: it says so, and what to use instead.
local function denied(name, hint)
  return function()
    host.raise("permission", "`" .. name .. "` is not open to scripts", hint)
  end
end
host.denied = denied

local function closed_table(name, members, hint)
  return setmetatable(members, {
    __index = function(_, key)
      if type(key) == "string" then
        return denied(name .. "." .. key, hint)
      end
    end,
  })
end

pcall, xpcall, error, assert = public.pcall, public.xpcall, public.error, public.assert
for _, name in pairs({ "create", "wrap", "resume", "yield", "status", "close", "running", "isyieldable" }) do
  coroutine[name] = public[name]
end

python = nil
loadfile = denied("loadfile", "use `require` for modules beside the script")
string.dump = denied("string.dump", "functions cannot be written out as bytecode")
package = closed_table("package", { loaded = {} }, "use `require` for modules beside the script")

debug = closed_table("debug", {
  traceback = function(...)
    return raw_traceback(...)
  end,
}, "only `debug.traceback` is there")

function collectgarbage(option)
  if option == nil or option == "collect" or option == "count" then
    return raw_collect(option)
  end
  return 0
end

-- A finaliser runs where nothing can stop it.
function _G.setmetatable(...)
  local t, mt = ...
  if type(mt) == "table" and rawget(mt, "__gc") ~= nil then
    host.raise(
      "permission",
      "`setmetatable` with `__gc` is not open to scripts",
      "use a `<close>` variable: it is closed at the end of its block, even by an error"
    )
  end
  return setmetatable(...)
end

-- Lua's own spins for ever on an empty string, and cannot be interrupted.
function string.rep(...)
  local s, n, sep = ...
  if s == "" and (sep == nil or sep == "") and math_type(n) == "integer" then
    return ""
  end
  return raw_rep(...)
end

local function checked_reader(reader)
  local size = 0
  return function()
    local piece = reader()
    if type(piece) == "string" then
      size = size + #piece
      if size > LARGEST_SOURCE then
        error("the text to load is larger than 8 MiB", 0)
      end
    end
    return piece
  end
end

-- Text only: bytecode can crash the machine that runs it.
function load(...)
  local chunk, name, mode = ...
  if type(chunk) == "string" then
    if #chunk > LARGEST_SOURCE then
      return nil, "the text to load is larger than 8 MiB"
    end
  elseif type(chunk) == "function" then
    chunk = checked_reader(chunk)
  end
  if mode == "b" then
    mode = "" -- Lua's own words for a text that is not wanted
  else
    mode = "t"
  end
  if select("#", ...) >= 4 then
    return raw_load(chunk, name, mode, (select(4, ...)))
  end
  return raw_load(chunk, name, mode)
end

getmetatable("").__metatable = false
