-- Output, input, the clock and the end of the run: what is left of `io` and `os`.

local host = ...
local ask, denied, raise = host.ask, host.denied, host.raise
local type, select, tostring, error, setmetatable = type, select, tostring, error, setmetatable
local concat, unpack, math_type, tointeger = table.concat, table.unpack, math.type, math.tointeger
local gsub, sub, format, rawequal, rawget = string.gsub, string.sub, string.format, rawequal, rawget
local put, real_metatable = host.write, host.real_metatable
local os_time, os_clock, os_date, os_difftime = os.time, os.clock, os.date, os.difftime

local function write(fd, file, ...)
  local parts, n = { ... }, select("#", ...)
  for i = 1, n do
    local kind = math_type(parts[i]) or type(parts[i])
    if kind == "float" then
      parts[i] = format("%.14g", parts[i]) -- as Lua's own writes them: 1.0 is 1 here
    elseif kind ~= "string" and kind ~= "integer" then
      error("bad argument #" .. i .. " to 'write' (string expected, got " .. kind .. ")", 2)
    end
  end
  put(fd, concat(parts))
  return file
end

-- As `tostring`, but that its complaint of `__tostring` is put at the script's line.
local function shown(v)
  local mt = type(v) == "table" and real_metatable(v)
  local f = mt and rawget(mt, "__tostring")
  if not f then
    return tostring(v)
  end
  local text = f(v)
  if type(text) ~= "string" and type(text) ~= "number" then
    error("'__tostring' must return a string", 3)
  end
  return text
end

function print(...)
  local parts, n = { ... }, select("#", ...)
  for i = 1, n do
    local v = parts[i]
    parts[i] = type(v) == "string" and v or shown(v)
  end
  put(1, concat(parts, "\t", 1, n) .. "\n")
end

-- One item of standard input, by a format of Lua's: n, l, L, a, or a number of bytes.
local function read_one(what, index)
  if type(what) == "string" then
    local letter = sub(gsub(what, "^%*", ""), 1, 1)
    if letter == "l" or letter == "L" or letter == "a" or letter == "n" then
      return ask("io.read", letter, 0)
    end
  elseif type(what) == "number" then
    local count = tointeger(what)
    if count and count >= 0 then
      return ask("io.read", "b", count)
    end
  end
  error("bad argument #" .. index .. " to 'read' (invalid format)", 3)
end

local function read(...)
  local n = select("#", ...)
  if n == 0 then
    return (read_one("l", 1))
  end
  local got, formats = {}, { ... }
  for i = 1, n do
    got[i] = read_one(formats[i], i)
    if got[i] == nil then
      n = i
      break
    end
  end
  return unpack(got, 1, n)
end

local function lines(...)
  local formats, n = { ... }, select("#", ...)
  return function()
    return read(unpack(formats, 1, n))
  end
end

local function file(name, methods)
  local methods_closed = setmetatable(methods, {
    __index = function(_, key)
      raise("validation", "`" .. name .. "` has no member `" .. tostring(key) .. "`")
    end,
  })
  return setmetatable({}, {
    __index = methods_closed,
    __name = "FILE*",
    __tostring = function()
      return name
    end,
    __metatable = false,
  })
end

local function output(name, fd)
  local stream
  stream = file(name, {
    write = function(self, ...)
      return write(fd, self, ...)
    end,
    flush = function(self)
      ask("io.flush", fd)
      return self
    end,
    setvbuf = function()
      return true
    end,
    close = denied(name .. ":close", "it is closed when the run ends"),
    seek = denied(name .. ":seek", "it is a stream"),
  })
  return stream
end

local stdout, stderr = output("io.stdout", 1), output("io.stderr", 2)
local stdin = file("io.stdin", {
  read = function(_, ...)
    return read(...)
  end,
  lines = function(_, ...)
    return lines(...)
  end,
  close = denied("io.stdin:close", "it is closed when the run ends"),
})

local files = "`File` reads and writes what was granted, `io.read` what is piped in; modules are read by `require`"

--- What is piped in.
Stdin = {
  --- All that is left of it.
  read = function()
    return read("a")
  end,
  --- An iterator over its lines.
  lines = function()
    return lines()
  end,
}

io = {
  stdout = stdout,
  stderr = stderr,
  stdin = stdin,
  write = function(...)
    return write(1, stdout, ...)
  end,
  read = function(...)
    return read(...)
  end,
  lines = function(path, ...)
    if path ~= nil then
      raise("permission", "`io.lines` of a file is not open to scripts", files)
    end
    return lines(...)
  end,
  flush = function()
    ask("io.flush", 1)
    return stdout
  end,
  type = function(...)
    if select("#", ...) == 0 then
      error("bad argument #1 to 'type' (value expected)", 2)
    end
    local v = ...
    if rawequal(v, stdout) or rawequal(v, stderr) or rawequal(v, stdin) then
      return "file"
    end
    return nil
  end,
  open = denied("io.open", files),
  popen = denied("io.popen", "scripts start no programs"),
  close = denied("io.close", files),
  input = denied("io.input", files),
  output = denied("io.output", files),
  tmpfile = denied("io.tmpfile", files),
}

os = {
  time = os_time,
  clock = os_clock,
  date = os_date,
  difftime = os_difftime,
  -- Ends the run: nothing catches it, and `<close>` variables are closed on the way.
  exit = function(code)
    if code == nil or code == true then
      code = 0
    elseif code == false then
      code = 1
    elseif math_type(code) ~= "integer" then
      local whole = tointeger(code)
      if not whole then
        local why = math_type(code) and "number has no integer representation" or "number expected, got " .. type(code)
        error("bad argument #1 to 'exit' (" .. why .. ")", 2)
      end
      code = whole
    end
    ask("os.exit", code)
    host.kill("host")
  end,
  getenv = function(name)
    if type(name) ~= "string" then
      error("bad argument #1 to 'getenv' (string expected, got " .. host.typename(name) .. ")", 2)
    end
    local answer = ask("Config.getenv", name)
    if answer[1] then
      return answer[2]
    end
    return (host.call("Config.getenv", name)) -- a person is asked
  end,
  execute = denied("os.execute", "scripts start no programs"),
  remove = denied("os.remove", files),
  rename = denied("os.rename", files),
  tmpname = denied("os.tmpname", files),
  setlocale = denied("os.setlocale", "the locale belongs to the host"),
}
