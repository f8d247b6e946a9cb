"""Every function that a script sees, as data: what it takes, what it gives, and one line.

A line is `global.name(parameter: type, …): type -- what it does`; a name with `:` is a method of the thing before it.
Types are Lua's, those of CLASSES, and the tables of `api.py` by the names of TABLES; `?` after a parameter: it may be
left out. The editor's stubs (`llmspell types`) and docs/reference are made of it; a test compares it with the prelude.
"""

from __future__ import annotations

from typing import NamedTuple

from llmspell.bridge import api

__all__ = ["CLASSES", "SIGNATURES", "TABLES", "Parameter", "Signature"]


class Parameter(NamedTuple):
    """name: `...` is any more. type: Lua's word for it. optional: whether it may be left out."""

    name: str
    type: str
    optional: bool


class Signature(NamedTuple):
    """owner: the global, or the class in small letters; method: whether it is called with a colon."""

    owner: str
    name: str
    method: bool
    parameters: tuple[Parameter, ...]
    returns: str
    doc: str


#: The tables that calls take: a type's name → its fields.
TABLES = {
    "AgentConfig": api.AGENT,
    "Input": api.INPUT,
    "Parameters": api.PARAMETERS,
    "Message": api.MESSAGE,
    "Part": api.PART,
    "ToolCall": api.CALL,
    "ToolConfig": api.LUA_TOOL,
    "ToolQuery": api.DISCOVER,
    "ToolNames": api.WRAPPED,
    "EmbedConfig": api.EMBED,
    "CompactOptions": api.COMPACT,
    "Step": api.STEP,
    "Branch": api.BRANCH,
    "SequentialConfig": api.SEQUENTIAL,
    "ParallelConfig": api.PARALLEL,
    "ConditionalConfig": api.CONDITIONAL,
    "LoopConfig": api.LOOP,
}

#: What calls give: a type's name → its fields, `name: type -- what it is` a line.
CLASSES = {
    "Output": """
        text: string -- the answer
        response: string -- the same
        content: string -- the same
        reasoning: string -- what the model thought
        media: Media[]? -- what it made that is no text
        tool_calls: ToolCall[] -- the calls of tools, with their results
        usage: Usage -- tokens and cost
        finish_reason: string -- stop, length, tool_calls, content_filter, or the service's own word
        metadata: table -- model, provider, latency_ms and what else is known
        data: any -- the value, where a `response_schema` was given
        message: Message -- the answer as a turn of the conversation
        messages: Message[] -- all turns that the call added""",
    "Usage": """
        input_tokens: integer? -- read, cached ones included
        output_tokens: integer? -- written, reasoning included
        cached_tokens: integer? -- read from the service's cache
        reasoning_tokens: integer? -- of the written ones
        total_tokens: integer? -- both
        cost_usd: number? -- where the model has a price""",
    "Chunk": """
        stream_id: string -- of its stream
        chunk_index: integer -- from 0
        content: Content -- what came
        metadata: table -- model, provider and what else is known
        timestamp: number -- seconds since the epoch""",
    "Content": """
        type: string -- text, reasoning, tool_call_progress, tool_call_complete, media or control
        text: string? -- of text and reasoning
        partial: any -- of text under a `response_schema`: the value as far as it has come
        tool_id: string? -- of a tool's call
        name: string? -- of a tool's call
        partial_args: string? -- a piece of its arguments
        arguments: table? -- all of them
        result: any -- what the tool gave
        error: string? -- or why it gave nothing
        media_type: string? -- of media
        data: string? -- bytes
        is_final: boolean? -- whether the medium is whole
        message: string? -- of control: stream_start, stream_end, retry, cancelled, heartbeat
        finish_reason: string? -- of stream_end
        usage: Usage? -- of stream_end""",
    "Error": """
        kind: string -- what sort of error it is
        message: string -- one line
        hint: string? -- what to do
        retryable: boolean -- whether it may help to try again
        provider: string? -- whose service failed
        model: string? -- which model
        tool: string? -- which tool
        step: string? -- which step of a workflow
        partial: string? -- the text so far""",
    "ToolResult": """
        success: boolean -- true: a failing tool raises
        text: string -- what it gave, as a model is told it
        result: any -- what it gave
        media: Media[]? -- images and files beside it""",
    "WorkflowResult": """
        text: string -- what the last step gave
        success: boolean -- whether all went well
        steps: table -- by name: success, result, error, duration_ms, attempts
        result: any -- what the last step gave; of steps at once a table, of a loop a list
        iterations: integer? -- of a loop
        branch: string? -- of a conditional
        state: table -- what the steps left in it
        duration_ms: number -- how long it took""",
    "FileEntry": """
        name: string -- without its folder
        type: string -- file, folder, link or other
        size: integer -- bytes of a file
        modified: number -- seconds since the epoch""",
}

_TEXT = """
Agent.create(config: AgentConfig): agent -- An agent.
Agent.new(config: AgentConfig): agent -- The same.
Agent.createAsync(config: AgentConfig): agent -- The same.
Agent.register(config: AgentConfig): agent -- The same, of an agent with a name; `Agent.get` finds it.
Agent.builder(): builder -- The same by a builder: each field is a method, and `build()` gives the agent.
Agent.get(name: string): agent? -- The agent of that name.
Agent.get_info(name: string): table? -- What is known of it.
Agent.list(): string[] -- The names of this run's agents.
Agent.wrap_as_tool(agent: agent, config?: ToolNames): tool -- A tool that runs the agent.
Agent.chat_from(saved: table, agent?: agent): chat -- A conversation as `chat:save()` gave it.
agent:execute(input: Input|string): Output -- The whole answer, tools included.
agent:invoke(input: Input|string): Output -- The same.
agent:stream_execute(input: Input|string): stream -- The answer as it comes.
agent:stream(input: Input|string): stream -- The same.
agent:invokeStream(input: Input|string, options?: table, callback: function): Output -- Calls it with each chunk.
agent:chat(): chat -- A conversation.
agent:get_config(): table -- What the agent was made of.
agent:get_metrics(): table -- What it has done in this run.
agent:supports_streaming(): boolean -- True.
agent:supports_multimodal(): boolean -- Whether its model reads or writes anything but text.
agent:supported_media_types(): string[] -- What its model reads or writes.
stream:next(): Chunk? -- The next chunk, or nil after the last.
stream:text(): string -- The rest of the answer's text, joined.
stream:collect(): Output -- The rest of the answer, as `agent:execute` gives it.
stream:cancel() -- Closes it.
chat:send(input: Input|string): Output -- What the agent says to that.
chat:stream(input: Input|string): stream -- The same as it comes.
chat:reset() -- Forgets what was said.
chat:save(): table -- A plain table of it.
chat:compact(options?: CompactOptions): boolean -- Puts a summary in the place of older turns.
Async.all(list: function[]): any[] -- Runs them at once; the first error cancels the rest.
Async.map(list: any[], f: function, options?: {concurrency: integer}): any[] -- Calls f for each item.
Async.settle(list: function[]): table[] -- For each `{ok, value}` or `{ok, error}`.
Async.race(list: function[]): any -- What the first that is done gives.
Async.timeout(s: number, f: function): any -- What f gives, if it ends in time.
Async.sleep(s: number) -- Waits so many seconds.
Async.spawn(f: function, ...: any): task -- Starts f and goes on.
Async.semaphore(n: integer): semaphore -- So many places.
Async.rate(n: integer, s: number): rate -- So many turns in so many seconds.
Async.merge(streams: stream[]): function -- An iterator over several streams: which, and its chunk.
task:await(): any -- Waits for it; gives what it gave.
task:cancel() -- Ends it where it waits.
semaphore:with(f: function, ...: any): any -- Runs f in a place.
rate:wait() -- Waits for one's turn.
Tool.list(): table[] -- What there is: `{name, description, category, permissions}` each.
Tool.get(name: string): tool -- The tool of that name.
Tool.execute(name: string, params?: table): ToolResult -- Runs a tool.
Tool.executeAsync(name: string, params?: table): ToolResult -- The same.
Tool.invoke(name: string, params?: table): ToolResult -- The same.
Tool.exists(name: string): boolean -- Whether there is one of that name.
Tool.categories(): string[] -- The categories of tools.
Tool.discover(wanted?: ToolQuery): table[] -- Those of `Tool.list` that fit.
Tool.get_info(name: string): table -- What is known of it.
Tool.get_schema(name: string): table -- The JSON Schema of its parameters.
Tool.register(config: ToolConfig): tool -- A tool written in Lua.
tool:execute(params?: table): ToolResult -- Runs it.
tool:invoke(params?: table): ToolResult -- The same.
tool:get_schema(): table -- The JSON Schema of its parameters.
tool:get_info(): table -- What is known of it.
Workflow.builder(): builder -- What builds a workflow.
Workflow.sequential(config?: SequentialConfig|string): any -- Steps one after the other; without a table a builder.
Workflow.parallel(config?: ParallelConfig|string): any -- Steps together.
Workflow.conditional(config?: ConditionalConfig|string): any -- Steps by a condition.
Workflow.loop(config?: LoopConfig|string): any -- Steps again and again.
Workflow.execute(flow: workflow|string, input?: any): WorkflowResult -- Runs it.
Workflow.get(name: string): workflow? -- The workflow of that name.
Workflow.get_info(flow: workflow|string): table -- What it was made of.
Workflow.list(): string[] -- The names of this run's workflows.
Workflow.register(name: string, flow: workflow): workflow -- Gives it a name.
workflow:execute(input?: any): WorkflowResult -- Runs it.
workflow:run(input?: any): WorkflowResult -- The same.
workflow:set_shared_data(key: string, value: any) -- What its steps find in `ctx.state` when it runs.
workflow:get_shared_data(key: string): any -- What they will find there.
workflow:get_info(): table -- What it was made of.
workflow:get_name(): string -- Its name.
workflow:get_type(): string -- sequential, parallel, conditional or loop.
Template.render(text: string, values?: table): string -- The text with its placeholders filled in.
Template.execute() -- Raises: llmspell has no such templates.
Provider.list(): table[] -- What is configured.
Provider.get(name: string): table? -- The same of one of them.
Provider.capabilities(name: string, model?: string): table -- What it can do.
Provider.getCapabilities(name: string, model?: string): table -- The same.
Provider.isAvailable(name: string): boolean -- Whether it can be asked.
Provider.find(wanted: table): string[] -- The names of those that can do what is wanted.
Provider.default(name?: string): string -- Who answers where none is named; with a name, that one from now on.
Provider.embed(options: EmbedConfig): table -- A vector for each text.
Provider.models(name: string): table[] -- The models that the service says it has.
Media.image(bytes: string, format?: string): Media -- An image.
Media.audio(bytes: string, format?: string): Media -- Sound.
Media.video(bytes: string, format?: string): Media -- Video.
Media.binary(bytes: string, mime?: string, filename?: string): Media -- Any file.
Media.from_file(path: string, mime?: string): Media -- A file's.
Media.from_base64(text: string, mime?: string): Media -- Of base64.
Media:bytes(): string -- The bytes.
Media:save(path: string) -- Writes them to a file.
File.read(path: string): string -- The whole of a file.
File.write(path: string, text: string) -- Puts a text in its place, at once.
File.append(path: string, text: string) -- Adds a text at its end.
File.lines(path: string): function -- An iterator over its lines.
File.list(path?: string): FileEntry[] -- What a folder has.
File.exists(path: string): boolean -- Whether it is there.
State.save(scope: string, key: string, value: any) -- Keeps a value.
State.load(scope: string, key: string): any -- What is kept.
State.delete(scope: string, key?: string): boolean -- Takes it away; a key alone is one of the scope `global`.
State.exists(scope: string, key: string): boolean -- Whether something is kept.
State.list_keys(scope: string): string[] -- The keys of a scope.
State.update(scope: string, key: string, f: function): any -- Puts f(old) in the place of what is kept, atomically.
State.set(key: string, value: any) -- Keeps it in the scope `global`.
State.get(key: string, default?: any): any -- What is kept there.
State.keys(): string[] -- The keys of that scope.
State.agent_set(id: string, key: string, value: any) -- Keeps it for an agent.
State.agent_get(id: string, key: string): any -- What is kept for it.
State.tool_set(id: string, key: string, value: any) -- Keeps it for a tool.
State.tool_get(id: string, key: string): any -- What is kept for it.
State.workflow_set(id: string, key: string, value: any) -- Keeps it for a workflow.
State.workflow_get(id: string, key: string): any -- What is kept for it.
Config.get(path: string): any -- The value of a setting; secrets read as `***`.
Config.isFileAccessAllowed(path: string, capability?: string): boolean -- Whether a file may be read, or written.
Config.isNetworkAccessAllowed(host_name: string): boolean -- Whether tools may connect to it.
Config.isEnvAccessAllowed(name: string): boolean -- Whether a variable may be read.
JSON.parse(text: string): any -- The value of a JSON text.
JSON.decode(text: string): any -- The same.
JSON.stringify(value: any, options?: {pretty: boolean}): string -- The JSON text of a value.
JSON.encode(value: any, options?: {pretty: boolean}): string -- The same.
JSON.array(t?: table): table -- Marks a table as a list.
Log.debug(message: any, fields?: table) -- A line of the log.
Log.info(message: any, fields?: table) -- A line of the log.
Log.warn(message: any, fields?: table) -- A line of the log.
Log.error(message: any, fields?: table) -- A line of the log.
Log.timer(name: string): table -- Measures: `stop()` logs the seconds and gives them.
Run.usage(): table -- Tokens, cost, calls and seconds so far.
Run.limits(): table -- The limits, and what is left.
Run.clock(): number -- Seconds since the run began.
Stdin.read(): string -- All that is piped in.
Stdin.lines(): function -- An iterator over its lines.
"""


def _parameter(text: str) -> Parameter:
    name, _, kind = text.partition(":")
    return Parameter(name.strip().removesuffix("?"), kind.strip(), name.strip().endswith("?"))


def _split(text: str) -> list[str]:
    """At commas that stand in no brackets."""
    parts, depth, begin = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "{(<") - (char in "})>")
        if char == "," and not depth:
            parts.append(text[begin:at])
            begin = at + 1
    return [part for part in (*parts, text[begin:]) if part.strip()]


def _signature(line: str) -> Signature:
    told, _, doc = line.partition(" -- ")
    head, _, rest = told.partition("(")
    inside, _, returns = rest.rpartition(")")
    mark = ":" if ":" in head else "."
    owner, _, name = head.partition(mark)
    parameters = tuple(_parameter(part) for part in _split(inside))
    return Signature(owner, name, mark == ":", parameters, returns.removeprefix(":").strip(), doc)


SIGNATURES = tuple(_signature(line) for line in _TEXT.strip().splitlines())
