local function area(w)
  if not w then
    error("`area` needs a width", 2)
  end
end

area()
