-- `require` and `dofile` of files beside the script. Written in Lua, so that a module may wait at its top level.

local host = ...
local ask, raw_load = host.ask, host.raw_load
local type, error, tostring, setmetatable = type, error, tostring, setmetatable

local loaded = package.loaded
for _, name in ipairs({ "string", "table", "math", "utf8", "coroutine", "os", "io", "debug" }) do
  loaded[name] = _G[name]
end
loaded._G = _G

local LOADING = {} -- stands for a module that is being loaded

local function load_text(text, name)
  local f, message = raw_load(text, "@" .. name, "t")
  if not f then
    error(message, 0)
  end
  return f
end

function require(name)
  if type(name) ~= "string" then
    error("bad argument #1 to 'require' (string expected, got " .. host.typename(name) .. ")", 2)
  end
  local module = loaded[name]
  if module == LOADING then
    host.raise("script", "module `" .. name .. "` requires itself, directly or through others")
  elseif module ~= nil then
    return module
  end
  local found = ask("require", name)
  local text, path = found[1], found[2]
  loaded[name] = LOADING
  local f <close> = setmetatable({}, {
    __close = function()
      if loaded[name] == LOADING then
        loaded[name] = nil -- it failed: the next `require` tries again
      end
    end,
  })
  local value = load_text(text, path)(name, path)
  if value == nil then
    value = loaded[name] ~= LOADING and loaded[name] or true
  end
  loaded[name] = value
  return value, path
end

function dofile(path)
  if path == nil then
    host.raise("permission", "`dofile` without a file is not open to scripts", "name a file beside the script")
  end
  local found = ask("dofile", tostring(path))
  return load_text(found[1], found[2])()
end
