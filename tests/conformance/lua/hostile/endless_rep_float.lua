-- Tries to have string.rep count to 2^60 without a byte of memory, the number being a float.
-- Ends: done
assert(string.rep("", 2 ^ 60) == "")
assert(string.rep("", "1152921504606846976") == "")
assert(string.rep("", 1 << 62, "") == "")
assert(("x"):rep(0) == "" and ("x"):rep(-1) == "" and string.rep("", math.mininteger) == "")
