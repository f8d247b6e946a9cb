-- Tools that are built in, one after another: a table of orders is read, asked, and made into a report.

local orders = [[
customer,product,amount
Ada,Lamp,2
Bob,Chair,1
Ada,Desk,1
]]

local table_of = Tool.execute("csv_analyzer", { operation = "convert", input = orders })

local by_customer = Tool.execute("json_processor", {
  input = table_of.result.output,
  query = "group_by(.customer) | map({customer: .[0].customer, items: (map(.amount) | add)})",
})

local report = Tool.execute("template_engine", {
  input = "{{#each customers}}{{customer}}: {{items}} items\n{{/each}}",
  context = { customers = by_customer.result.output },
})

local digest = Tool.execute("hash_calculator", { input = report.text, algorithm = "sha256" })

io.write(report.text)
print("sha256 " .. digest.result.hash:sub(1, 12))
