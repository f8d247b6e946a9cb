local page = Tool.execute("web_fetch", { url = "https://example.com/a" })
print(page.text)
