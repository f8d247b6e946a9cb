local t = {}
t.inner = { t }
return t
