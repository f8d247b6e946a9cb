-- Output, input, the clock and the end of the run: what is left of `io` and `os`.

local host = ...
local ask, denied, raise = host.ask, host.denied, host.raise
local type, select, tostring, error, setmetatable = type, select, tostring, error, setmetatable
local concat, unpack, math_type, gsub, sub = table.concat, table.unpack, math.type, string.gsub, string.sub
local os_time, os_clock, os_date, os_difftime = os.time, os.clock, os.date, os.difftime

local function write(fd, file, ...)
  local n = select("#", ...)
  local parts = {}
  for i = 1, n do
    local v = select(i, ...)
    local kind = type(v)
    if kind == "number" then
      v = tostring(v)
    elseif kind ~= "string" then
      local got = v == nil and "nil" or kind
      error("bad argument #" .. i .. " to 'write' (string expected, got " .. got .. ")", 3)
    end
    parts[i] = v
  end
  ask("write", fd, concat(parts))
  return file
end

function print(...)
  local n = select("#", ...)
  local parts = {}
  for i = 1, n do
    parts[i] = tostring((select(i, ...)))
  end
  ask("write", 1, concat(parts, "\t") .. "\n")
end

-- One item of standard input, by a format of Lua's: n, l, L, a, or a number of bytes.
local function read_one(format)
  if type(format) == "string" then
    local letter = sub(gsub(format, "^%*", ""), 1, 1)
    if letter == "l" or letter == "L" or letter == "a" or letter == "n" then
      return ask("io.read", letter, 0)
    end
  elseif math_type(format) == "integer" and format >= 0 then
    return ask("io.read", "b", format)
  end
  error("bad argument #1 to 'read' (invalid format)", 4)
end

local function read(...)
  local n = select("#", ...)
  if n == 0 then
    return read_one("l")
  end
  local got = {}
  for i = 1, n do
    got[i] = read_one((select(i, ...)))
    if got[i] == nil then
      break
    end
  end
  return unpack(got, 1, n)
end

local function lines(...)
  local formats, n = { ... }, select("#", ...)
  return function()
    if n == 0 then
      return read_one("l")
    end
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

local files = "scripts open no files; what is piped in is read by `io.read`, and modules by `require`"

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
  type = function(v)
    if v == stdout or v == stderr or v == stdin then
      return "file"
    end
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
      error("bad argument #1 to 'exit' (integer expected, got " .. type(code) .. ")", 2)
    end
    ask("os.exit", code)
    host.kill("host")
  end,
  getenv = denied("os.getenv", "pass values as arguments: `llmspell run script.lua -- name=value`, then read `ARGS`"),
  execute = denied("os.execute", "scripts start no programs"),
  remove = denied("os.remove", files),
  rename = denied("os.rename", files),
  tmpname = denied("os.tmpname", files),
  setlocale = denied("os.setlocale", "the locale belongs to the host"),
}
