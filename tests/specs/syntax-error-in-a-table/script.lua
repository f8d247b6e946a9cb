local words = {
	["詩"] = "a poem",	["俳句"] = "a short one" ["歌"] = "a song, to be sung by one or by many",
}
print(words)
