-- Where a run is recorded or replayed: clocks and chance are the recording's, and `pairs` has an order.

local host = ...
local ask, lua, real_metatable = host.ask, host.lua, host.real_metatable
local type, select, rawget, rawlen, next, math_type = type, select, rawget, rawlen, next, math.type
local sort, raw_pairs, randomseed = table.sort, pairs, math.randomseed
local os_time, os_date = os.time, os.date

function os.time(...)
  if (...) == nil then
    return ask("Tape.time")
  end
  return (lua("time", os_time, ...))
end

function os.clock()
  return ask("Tape.clock")
end

function os.date(format, time)
  if time == nil then
    time = ask("Tape.time")
  end
  return (lua("date", os_date, format == nil and "%c" or format, time))
end

local function reseed()
  local seed = ask("Tape.seed")
  randomseed(seed[1], seed[2])
  return seed[1], seed[2]
end

function math.randomseed(...)
  if select("#", ...) == 0 then
    return reseed()
  end
  return lua("randomseed", randomseed, ...)
end

reseed()

-- Lua's own goes by the hashes of keys, which are others in each process: requests, and what is printed, would come in
-- another order. This goes through the list, then numbers and strings in order; what else there is comes last.
local function ordered(t)
  local size, order, names, rest = rawlen(t), {}, {}, {}
  for key in next, t do
    if type(key) == "string" then
      names[#names + 1] = key
    elseif math_type(key) == "integer" and key >= 1 and key <= size then
      -- it has its place
    elseif type(key) == "number" then
      order[#order + 1] = key
    else
      rest[#rest + 1] = key
    end
  end
  sort(order)
  sort(names)
  for _, list in next, { names, rest } do
    for i = 1, #list do
      order[#order + 1] = list[i]
    end
  end
  local at = 0
  return function()
    while true do
      at = at + 1
      local key = at
      if at > size then
        key = order[at - size]
        if key == nil then
          return nil
        end
      end
      local value = rawget(t, key)
      if value ~= nil then
        return key, value
      end
    end
  end, t, nil
end

function pairs(...)
  local t = ...
  if type(t) ~= "table" then
    return lua("pairs", raw_pairs, ...)
  end
  local mt = real_metatable(t)
  if mt and rawget(mt, "__pairs") ~= nil then
    return raw_pairs(...)
  end
  return ordered(t)
end
