-- Functions of the script's that the host calls: kept here, and called by number, each in a fiber of its own.

local host = ...
local ask, ask_json, call, spawn = host.ask, host.ask_json, host.call, host.spawn
local pcall, tostring, unpack = host.public.pcall, tostring, table.unpack

local UPCALL = -2 -- the host's group of such fibers

local lent, last = {}, 0
local number_of = setmetatable({}, { __mode = "k" })
local serving = false

--- The number by which the host calls `f`, which is kept until the run ends.
function host.lend(f)
  local id = number_of[f]
  if not id then
    last = last + 1
    id = last
    lent[id], number_of[f] = f, id
  end
  return id
end

--- Lets go of a function that was lent.
function host.take_back(id)
  local f = lent[id]
  if f ~= nil then
    lent[id], number_of[f] = nil, nil
  end
end

local function answer(ticket, f, args, n)
  ask_json("function.done", ticket, f(unpack(args, 1, n)))
end

local function start(one)
  local ok, fiber = pcall(spawn, {}, UPCALL, answer, one.ticket, lent[one.id], one.args, one.n)
  if not ok then
    ask("function.refused", one.ticket, tostring(fiber))
  elseif not ask("function.started", one.ticket, fiber) then
    ask("task:cancel", fiber)
    host.close_fiber(fiber)
  end
end

local function serve()
  while true do
    local calls = call("function:next")
    for i = 1, #calls do
      start(calls[i])
    end
  end
end

-- `host.call` for operations in which the host may call functions that were lent.
function host.call_lending(op, ...)
  host.serve()
  return call(op, ...)
end

-- Sees to it that calls of lent functions are served; to be called before the host may make one.
function host.serve()
  if not serving and last > 0 then
    serving = true
    spawn({}, UPCALL, serve)
  end
end
