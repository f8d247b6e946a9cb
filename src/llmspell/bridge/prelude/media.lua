-- `Media`: images, sound, video and files, as values that go to a model and come from one.

local host = ...
local ask, call, raise, typename = host.ask, host.call, host.raise, host.typename
local type, next, setmetatable, rawget = type, next, setmetatable, rawget

local Media = {}
local methods = {}
local class = host.class("Media", methods)

class.__tostring = function(m)
  return m.mime_type .. ", " .. m.size .. " bytes"
end

-- A table of these fields as a medium: what `data` has, or a file of the host's by its number in `file`.
local function made(fields)
  return setmetatable(fields, class)
end

-- What a model made, as a medium.
function host.medium_of(fields)
  for k, v in next, ask("Media.of_output", fields.data, fields.media_type) do
    fields[k] = v
  end
  return made(fields)
end

local function of_bytes(name, kind, data, declared, filename)
  if type(data) ~= "string" then
    raise("validation", "`" .. name .. "` takes the bytes first, not " .. typename(data))
  end
  local fields = ask("Media.of_bytes", name, kind, data, declared)
  fields.data, fields.filename = data, filename
  return made(fields)
end

--- An image of these bytes. The bytes tell the format; one that is given must agree with them.
---@param bytes string
---@param format? string
function Media.image(bytes, format)
  return of_bytes("Media.image", "image", bytes, format)
end

--- Sound.
---@param bytes string
---@param format? string
function Media.audio(bytes, format)
  return of_bytes("Media.audio", "audio", bytes, format)
end

--- Video.
---@param bytes string
---@param format? string
function Media.video(bytes, format)
  return of_bytes("Media.video", "video", bytes, format)
end

--- Any file.
---@param bytes string
---@param mime? string
---@param filename? string
function Media.binary(bytes, mime, filename)
  if filename ~= nil and type(filename) ~= "string" then
    raise("validation", "`Media.binary` takes a file's name third, not " .. typename(filename))
  end
  return of_bytes("Media.binary", "file", bytes, mime, filename)
end

--- A file's, under the permission `read`. Its bytes are read when they are sent or asked for.
---@param path string
---@param mime? string
function Media.from_file(path, mime)
  if type(path) ~= "string" or path == "" then
    raise("validation", "`Media.from_file` takes a path, not " .. (path == "" and "an empty string" or typename(path)))
  end
  return made(call("Media.from_file", path, mime))
end

--- Of base64.
---@param text string
---@param mime? string
function Media.from_base64(text, mime)
  return made(ask("Media.from_base64", text, mime))
end

local function need(m, method)
  if type(m) ~= "table" or host.real_metatable(m) ~= class then
    raise("validation", "`media:" .. method .. "` is called with a colon, on a medium")
  end
end

--- The bytes.
---@return string
function methods.bytes(m)
  need(m, "bytes")
  local data = rawget(m, "data")
  if data ~= nil then
    return data
  end
  return call("media:bytes", rawget(m, "file"))
end

--- Writes the bytes to a file, under the permission `write`.
---@param path string
function methods.save(m, path)
  need(m, "save")
  if type(path) ~= "string" or path == "" then
    raise("validation", "`media:save` takes a path, not " .. (path == "" and "an empty string" or typename(path)))
  end
  call("media:save", path, rawget(m, "data") or rawget(m, "file"))
end

return Media
