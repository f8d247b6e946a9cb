-- The compiled engine's Lua half begins: `host` comes with what C has put into it, and into its `public`. These locals
-- are what the parts that follow use: common and words, which are the pure engine's too, and compiled.

local host = ...
local public = host.public

local raw_error, raw_setmetatable, raw_load = error, setmetatable, load
local getinfo = debug.getinfo
local set_metatable, real_metatable = debug.setmetatable, debug.getmetatable -- whatever `__metatable` says
local type, next, rawget, tostring = type, next, rawget, tostring
local string_library = string
local unpack = table.unpack
local sub, find, gsub = string.sub, string.find, string.gsub

local OWN = "=[llmspell]" -- chunk name of everything that is not the script's
