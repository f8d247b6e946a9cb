-- `Workflow`: steps in sequence, at once, where a condition holds, in loops.

local host = ...
local ask, ask_json = host.ask, host.ask_json
local type, setmetatable, next, tostring, rawget = type, setmetatable, next, tostring, rawget
local raise, typename = host.raise, host.typename

local Workflow = {}

local ids = setmetatable({}, { __mode = "k" }) -- workflow → the host's number for it
local methods = {}
local class = host.class("workflow", methods)

class.__tostring = function(flow)
  return "workflow `" .. tostring(flow.name) .. "`"
end

local function need(flow, method)
  local id = type(flow) == "table" and ids[flow]
  if not id then
    raise("validation", "`workflow:" .. method .. "` is called with a colon, on a workflow")
  end
  return id
end

local function wrap(told)
  local flow = { id = "workflow-" .. told.id, name = told.name, type = told.type, description = told.description }
  ids[flow] = told.id
  return setmetatable(flow, class)
end

-- ---------------------------------------------------------------------------------------------- what crosses

-- A function of a step: what it gives, and the state as it left it.
local function lent_run(f)
  return {
    lent = host.lend(function(ctx)
      local value = f(ctx, ctx.params)
      return value, ctx.state
    end),
  }
end

local function lent_condition(f)
  return {
    lent = host.lend(function(ctx)
      return not not f(ctx)
    end),
  }
end

local CONDITIONS = { condition = true, ["while"] = true, while_condition = true, break_when = true }

-- The fields of a step or of a workflow, functions and handles as the host knows them. A function that is nothing of
-- theirs is lent as well: the host says what was wanted in its place.
local function plain_field(key, value)
  local kind = type(value)
  if kind == "function" then
    return CONDITIONS[key] and lent_condition(value) or lent_run(value)
  elseif kind ~= "table" then
    return value
  elseif key == "agent" then
    local known = host.agent_ids and host.agent_ids[value]
    return known and { agent = known } or value
  elseif key == "workflow" then
    return ids[value] and { workflow = ids[value] } or value
  elseif key == "tool" then
    local name = rawget(value, "name")
    return type(name) == "string" and name or value
  end
  return value
end

local function plain_fields(t)
  if type(t) == "function" then
    return lent_run(t)
  elseif type(t) ~= "table" then
    return t
  end
  local out = {}
  for key, value in next, t do
    out[key] = plain_field(key, value)
  end
  return out
end

local function plain_steps(list)
  if type(list) ~= "table" then
    return list
  elseif list[1] == nil and next(list) ~= nil then -- one step, or a branch
    local out = plain_fields(list)
    out.steps = plain_steps(out.steps)
    return out
  end
  local out = {}
  for i = 1, #list do
    out[i] = plain_fields(list[i])
  end
  return out
end

local function plain_branches(list)
  if type(list) ~= "table" then
    return list
  end
  local out = {}
  for i = 1, #list do
    out[i] = plain_fields(list[i])
    if type(out[i]) == "table" then
      out[i].steps = plain_steps(out[i].steps)
    end
  end
  return out
end

local STEPS = { "steps", "body", "then_steps", "else_steps", "then_branch", "else_branch", "default_branch" }

local function create(kind, config)
  local out = plain_fields(config)
  for i = 1, #STEPS do
    local field = STEPS[i]
    if out[field] ~= nil then
      out[field] = plain_steps(out[field])
    end
  end
  if out.branches ~= nil then
    out.branches = plain_branches(out.branches)
  end
  if out.iterator ~= nil then
    out.iterator = plain_fields(out.iterator)
  end
  return wrap(ask_json("Workflow." .. kind, out))
end

-- ---------------------------------------------------------------------------------------------- the builder

local function add(config, field, value, method)
  if type(value) ~= "table" then
    raise("validation", "`Workflow.builder():" .. method .. "` takes a table, not " .. typename(value))
  end
  local list = config[field] or {}
  config[field] = list
  list[#list + 1] = value
end

local KINDS = { "sequential", "parallel", "conditional", "loop" }
local PLAIN = {
  "name", "description", "timeout", "timeout_ms", "on_error", "error_strategy", "condition", "max_concurrency",
  "max_iterations", "break_when",
}

local function builder(kind)
  local config, m = {}, {}
  for _, field in next, PLAIN do
    m[field] = function(self, value)
      config[field] = value
      return self
    end
  end
  for _, name in next, KINDS do
    m[name] = function(self)
      kind = name
      return self
    end
  end
  function m.add_step(self, step)
    add(config, "steps", step, "add_step")
    return self
  end
  function m.step(self, name, cfg)
    if type(cfg) == "function" then
      cfg = { run = cfg }
    end
    local step = {}
    for key, value in next, type(cfg) == "table" and cfg or {} do
      step[key] = value
    end
    step.name = name
    add(config, "steps", step, "step")
    return self
  end
  function m.add_then_step(self, step)
    add(config, "then_steps", step, "add_then_step")
    return self
  end
  function m.add_else_step(self, step)
    add(config, "else_steps", step, "add_else_step")
    return self
  end
  function m.add_branch(self, branch)
    add(config, "branches", branch, "add_branch")
    return self
  end
  function m.with_range(self, first, last, step)
    config.range = type(first) == "table" and first or { first, last, step }
    return self
  end
  function m.with_collection(self, list)
    config.collection = list
    return self
  end
  function m.with_while(self, condition)
    config["while"] = condition
    return self
  end
  function m.build()
    if not kind then
      raise(
        "validation",
        "`Workflow.builder()` was not told what to build",
        "call `:sequential()`, `:parallel()`, `:conditional()` or `:loop()` before `:build()`"
      )
    end
    return create(kind, config)
  end
  return host.builder("Workflow.builder()", m)
end

--- What builds a workflow: `Workflow.builder():sequential():name("x"):add_step{…}:build()`.
function Workflow.builder()
  return (builder())
end

for _, kind in next, KINDS do
  Workflow[kind] = function(config)
    if config == nil then
      return (builder(kind))
    elseif type(config) == "string" then
      return (builder(kind)):name(config)
    elseif type(config) ~= "table" then
      raise("validation", "`Workflow." .. kind .. "` takes a table, not " .. typename(config))
    end
    return create(kind, config)
  end
end

-- ---------------------------------------------------------------------------------------------- running them

--- Runs it. A step that fails, and may not, raises an error of kind "workflow" with `step`.
---@param input? table|string
function methods.execute(flow, input)
  return host.call_lending("workflow:execute", need(flow, "execute"), input)
end

methods.run = methods.execute

--- What its steps find in `ctx.state` under that key, each time it runs: as older scripts prepare conditions.
---@param key string
---@param value any
function methods.set_shared_data(flow, key, value)
  ask_json("workflow:set_shared_data", need(flow, "set_shared_data"), key, value)
end

--- What its steps will find there.
---@param key string
function methods.get_shared_data(flow, key)
  return ask("workflow:get_shared_data", need(flow, "get_shared_data"), key)
end

--- What it was made of: name, type, description, the names of its steps.
function methods.get_info(flow)
  return ask("workflow:get_info", need(flow, "get_info"))
end

function methods.get_name(flow)
  need(flow, "get_name")
  return flow.name
end

function methods.get_type(flow)
  need(flow, "get_type")
  return flow.type
end

local function number_of(flow, method)
  if type(flow) == "string" then
    return ask("Workflow.number", flow)
  end
  local id = type(flow) == "table" and ids[flow]
  if not id then
    raise("validation", "`Workflow." .. method .. "` takes a workflow, or the name of one, not " .. typename(flow))
  end
  return id
end

--- The same as `workflow:execute(input)`.
function Workflow.execute(flow, input)
  return host.call_lending("workflow:execute", number_of(flow, "execute"), input)
end

function Workflow.get_info(flow)
  return ask("workflow:get_info", number_of(flow, "get_info"))
end

--- The names of the workflows of this run.
function Workflow.list()
  return ask("Workflow.list")
end

--- The workflow of that name, or nil.
function Workflow.get(name)
  local told = ask("Workflow.get", tostring(name))
  return told and wrap(told) or nil
end

--- Gives a workflow another name, by which steps and `Workflow.get` find it.
function Workflow.register(name, flow)
  if type(name) == "table" and type(flow) == "string" then
    name, flow = flow, name
  end
  ask("Workflow.register", name, number_of(flow, "register"))
  return flow
end

return Workflow
