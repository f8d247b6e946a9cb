local function load(name)
  local text = File.read("/srv/reports/" .. name)
  return JSON.parse(text)
end

load("monthly summary.json")
