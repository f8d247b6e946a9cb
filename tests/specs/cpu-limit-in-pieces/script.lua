-- Never long at a time: what counts is all of it together.
local function work()
  while true do
    for _ = 1, 10000 do
    end
    Async.sleep(0)
  end
end

Async.all { work, work, work }
