-- What a script may use of Lua's own libraries. Taken away, or made safe; runs once, before anything of the script's.
-- Source: LUA.md §1.3 and §9, SCRIPT_API.md "Plain Lua 5.4".

local host = ...
local public, lua = host.public, host.lua

local type, select, rawget, tostring, error, math_type = type, select, rawget, tostring, error, math.type
local tointeger, tonumber, find, gsub = math.tointeger, tonumber, string.find, string.gsub
local raw_load, raw_setmetatable, raw_rep, raw_collect = host.raw_load, setmetatable, string.rep, collectgarbage
local real_metatable, unmark_array = host.real_metatable, host.unmark_array

local LARGEST_SOURCE = 8 * 1024 * 1024 -- the parser cannot be interrupted
local SHORT = 1 << 20 -- bytes that string.rep makes in any case

-- A function that is not there for scripts: it says so, and what to use instead.
local function denied(name, hint)
  return function()
    host.raise("permission", "`" .. name .. "` is not open to scripts", hint)
  end
end
host.denied = denied

local function closed_table(name, members, hint)
  return raw_setmetatable(members, {
    __index = function(_, key)
      if type(key) == "string" then
        return denied(name .. "." .. key, hint)
      end
    end,
  })
end

-- What the parts of the prelude that are loaded later see as globals: the script may have replaced its own by then.
host.globals = {
  type = type, select = select, next = next, rawget = rawget, rawset = rawset, tostring = tostring, error = error,
  setmetatable = setmetatable, getmetatable = getmetatable,
  math = { type = math_type }, table = { pack = table.pack, unpack = table.unpack, concat = table.concat },
  string = { find = string.find, sub = string.sub },
}

pcall, xpcall = public.pcall, public.xpcall
for _, name in next, { "create", "wrap", "resume", "yield", "status", "close", "running", "isyieldable" } do
  coroutine[name] = public[name]
end

python = nil

loadfile = denied("loadfile", "use `require` for modules beside the script")
string.dump = denied("string.dump", "functions cannot be written out as bytecode")
package = closed_table("package", {
  loaded = {},
  preload = {},
  path = "?.lua;?/init.lua", -- for scripts that add to it; modules are found beside the script all the same
  cpath = "",
  config = package.config,
}, "use `require` for modules beside the script")
debug = closed_table("debug", { traceback = debug.traceback }, "only `debug.traceback` is there")

local COLLECT = { collect = true, count = true }
local IGNORED = { stop = true, restart = true, step = true, isrunning = true, setpause = true, setstepmul = true }
IGNORED.generational, IGNORED.incremental = true, true

function collectgarbage(option)
  if option == nil or COLLECT[option] then
    return raw_collect(option)
  elseif IGNORED[option] then
    return 0
  elseif type(option) ~= "string" then
    error("bad argument #1 to 'collectgarbage' (string expected, got " .. type(option) .. ")", 2)
  end
  error("bad argument #1 to 'collectgarbage' (invalid option '" .. option .. "')", 2)
end

-- A finaliser runs where nothing can stop it.
function _G.setmetatable(t, mt)
  if type(mt) == "table" then
    if rawget(mt, "__gc") ~= nil then
      host.raise(
        "permission",
        "`setmetatable` with `__gc` is not open to scripts",
        "use a `<close>` variable: it is closed at the end of its block, even by an error"
      )
    end
    if type(t) == "table" then
      local own = real_metatable(t)
      if own == nil then
        return raw_setmetatable(t, mt)
      end
      unmark_array(t)
    end
  elseif mt == nil and type(t) == "table" then
    unmark_array(t)
  end
  return (lua("setmetatable", raw_setmetatable, t, mt))
end

-- Lua's own cannot be interrupted: where the engine has others, these are taken.
for name, f in next, host.patterns or {} do
  string[name] = f
end

-- Lua's own spins for ever on an empty string, and cannot be interrupted.
function string.rep(s, n, sep)
  local times = math_type(n) == "integer" and n or tointeger(tonumber(n) or n)
  if type(s) == "string" and times and (sep == nil or type(sep) == "string") then
    local size = sep and #s + #sep or #s
    if size == 0 then
      return ""
    elseif times <= 0 or size <= SHORT // times then
      return raw_rep(s, times, sep)
    end
  end
  return (lua("rep", raw_rep, s, n, sep))
end

local function checked_reader(reader)
  local size = 0
  return function()
    local piece = reader()
    if piece then
      size = size + (type(piece) == "string" and #piece or 30) -- a number is taken, too
      if size > LARGEST_SOURCE then
        error("the text to load is larger than 8 MiB", 0)
      end
    end
    return piece
  end
end

-- What `load` came to. It catches what its reader raises, and the end of memory.
local function loaded(mode, ...)
  local f, message = ...
  if f then
    return ...
  end
  host.caught(message)
  if message == "reader function must return a string" then
    message = host.place(2) .. message
  elseif mode and type(message) == "string" then -- one without "t": Lua's own words for a text that is not wanted
    local words, wanted = gsub(message, "%(mode is ''%)$", "")
    message = wanted == 1 and words .. "(mode is '" .. mode .. "')" or message
  end
  return nil, message
end

-- Text only: bytecode can crash the machine that runs it.
function load(...)
  local chunk, name, given = ...
  local mode, other, read = "t", nil, raw_load
  if type(chunk) == "string" then
    if #chunk > LARGEST_SOURCE then
      return nil, "the text to load is larger than 8 MiB"
    end
  elseif type(chunk) == "function" then
    chunk = checked_reader(chunk)
  else
    return loaded(nil, lua("load", raw_load, ...)) -- no text at all, or a number
  end
  if given ~= nil and (type(given) ~= "string" or not find(given, "t", 1, true)) then
    mode = given
    if type(given) == "string" then
      mode, other = "", given
    end
  end
  if type(chunk) == "string" and type(mode) == "string" and (name == nil or type(name) == "string" or math_type(name)) then
    read, name = host.load_text, name == nil and chunk or name
  end
  if select("#", ...) >= 4 then
    return loaded(other, lua("load", read, chunk, name, mode, (select(4, ...))))
  end
  return loaded(other, lua("load", read, chunk, name, mode))
end

-- `warn` as in plain Lua: off until `warn("@on")`, and a line on standard error.
local warns = false

function warn(...)
  local parts, n = { ... }, select("#", ...)
  for i = 1, n > 0 and n or 1 do
    local kind = type(parts[i])
    if kind ~= "string" and kind ~= "number" then
      local got = i > n and "no value" or kind
      error("bad argument #" .. i .. " to 'warn' (string expected, got " .. got .. ")", 2)
    end
  end
  if n == 1 and find(parts[1], "^@") then
    warns = parts[1] == "@on" or (warns and parts[1] ~= "@off")
  elseif warns then
    host.write(2, "Lua warning: " .. host.globals.table.concat(parts) .. "\n")
  end
end

getmetatable("").__metatable = false

host.keep_names()
