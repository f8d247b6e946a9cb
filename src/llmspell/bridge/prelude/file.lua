-- `File`: files, under the permissions `read` and `write`.

local host = ...
local ask, call, raise, typename = host.ask, host.call, host.raise, host.typename
local type, find, sub = type, string.find, string.sub

local File = {}

local function need_path(path, name)
  if type(path) ~= "string" or path == "" then
    raise("validation", "`File." .. name .. "` takes a path, not " .. (path == "" and "an empty string" or typename(path)))
  end
end

local function need_text(text, name)
  if type(text) ~= "string" then
    raise("validation", "`File." .. name .. "` takes a string second, not " .. typename(text))
  end
end

-- What is granted and small is done at once, wherever Lua runs; the rest waits.
local function done(name, path, data)
  local answer = ask("File.now", name, path, data)
  if answer[1] then
    return answer[2]
  end
  return call("File.later", name, path, data)
end

--- The whole of a file, at most 64 MB.
---@param path string
---@return string
function File.read(path)
  need_path(path, "read")
  return done("read", path)
end

--- Puts a text in the place of a file, at once: nobody sees half of it. Folders above it are made.
---@param path string
---@param text string
function File.write(path, text)
  need_path(path, "write")
  need_text(text, "write")
  done("write", path, text)
end

--- Adds a text at the end of a file.
---@param path string
---@param text string
function File.append(path, text)
  need_path(path, "append")
  need_text(text, "append")
  done("append", path, text)
end

--- An iterator over a file's lines, without their ends.
---@param path string
---@return fun(): string?
function File.lines(path)
  need_path(path, "lines")
  local text, at = done("read", path), 1
  return function()
    if at > #text then
      return nil
    end
    local stop = find(text, "\n", at, true)
    local line = sub(text, at, stop and stop - 1 or #text)
    at = stop and stop + 1 or #text + 1
    if sub(line, -1) == "\r" then
      line = sub(line, 1, -2)
    end
    return line
  end
end

--- What a folder has: `{name, type, size, modified}` each; type is file, folder, link or other.
---@param path? string the working folder where it is left out
function File.list(path)
  path = path == nil and "." or path
  need_path(path, "list")
  return done("list", path)
end

--- Whether a file or a folder is there.
---@param path string
---@return boolean
function File.exists(path)
  need_path(path, "exists")
  return done("exists", path)
end

return File
