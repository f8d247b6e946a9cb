local function greet(name)
  if name != nil then
    print("hello " .. name)
  end
end

local function leave(name)
  print("bye " .. name
end

local limit <const> = 3
print(limit)
