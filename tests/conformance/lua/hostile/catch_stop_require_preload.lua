-- Tries modules that load one another and themselves, and that never end.
-- Ends: timeout
package.preload.a = function() pcall(require, "a") return require("b") end
package.preload.b = function()
  pcall(require, "a")
  while true do pcall(require, "b") end
end
require("a")
