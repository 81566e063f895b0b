"""Every code that a diagnostic may have, and its story: what `agentflow explain` tells and the docs list."""

from __future__ import annotations

from agentflow.diagnostics import Explanation
from agentflow.rulecodes import RULE_CODES

_FILE = {
    "unreadable-file": Explanation(
        "A file is not there, or cannot be read.",
        """
The graph, or a text that it takes from a file with {file: prompts/x.md}, is missing, is a folder, or may not be
read. A graph is named by its path, or by NAME for graphs/NAME.yaml under the current folder. The path of a text is
relative to the project's folder: the nearest one above the graph that holds pyproject.toml or tools/.
""",
    ),
    "file-too-large": Explanation(
        "A graph file has at most 1 MiB.",
        """
A graph that is larger is generated, or carries data: keep data in files that tools read, and parts of a graph in
graphs of their own.
""",
    ),
    "empty-file": Explanation(
        "There is nothing in the file.",
        """
A file that is empty, or has only comments, is no graph. The smallest one is:

    agentflow: 1
    graph: hello
    models: {default: gemini-2.5-flash}
    agents:
      greeter: {instruction: You greet people.}
""",
    ),
    "not-utf8": Explanation(
        "A file is text in UTF-8.",
        """
A byte in it cannot stand in UTF-8. Most often the file was saved by an editor in Latin-1 or UTF-16: save it again
as UTF-8.
""",
    ),
    "bad-character": Explanation(
        "A control character stands in the file.",
        """
Control characters other than tabs and line ends are not part of YAML, and cannot be seen in most editors. Where one
is meant, write it as an escape in double quotes: "\\x07".
""",
    ),
    "yaml-syntax": Explanation(
        "The file is not YAML.",
        """
The YAML reader's own words say what it met. The usual causes: a text with ": " or " #" in it that is not in quotes,
entries of one mapping that do not begin in the same column, a tab in the indentation, a bracket or quote that is not
closed.

    prompt: Note: be brief          # wrong
    prompt: "Note: be brief"        # right
""",
    ),
    "cut-short": Explanation(
        "A text that is not in quotes ends before its author meant it to.",
        """
Without quotes a space and a # begin a comment, and within { } a comma begins the next entry. What comes behind is no
part of the text. With a space behind the # it is taken for the comment that it looks like.

    prompt: Answer ticket #5 politely.          # wrong: the text is "Answer ticket"
    prompt: "Answer ticket #5 politely."

    {agent: a, prompt: Be brief, and polite}    # wrong: "and polite" is another key
    {agent: a, prompt: "Be brief, and polite"}
""",
    ),
    "unquoted-template": Explanation(
        "A value that begins with {{ must be in quotes.",
        """
Without quotes YAML reads {{ x }} as a mapping within a mapping.

    prompt: {{ input.text }}        # wrong
    prompt: "{{ input.text }}"      # right
""",
    ),
    "duplicate-key": Explanation(
        "A mapping has the same key twice.",
        """
YAML readers differ in which of the two they keep, and all are silent about the other. Remove or rename one.
""",
    ),
    "merge-key": Explanation(
        "Merge keys (<<) are not part of the language.",
        """
They are not part of YAML 1.2, they hide where a value comes from, and a few nested ones can grow without bound.
Write the keys out; an alias (*name) may still stand for a whole value.
""",
    ),
    "yaml-tag": Explanation(
        "Tags (!name) are not part of the language.",
        """
A graph is plain data: text, numbers, true and false, lists and mappings.
""",
    ),
    "several-documents": Explanation(
        "One file holds one graph.",
        """
A line of --- begins another YAML document. Keep each graph in a file of its own.
""",
    ),
    "non-string-key": Explanation(
        "A key is text.",
        """
Keys are names. Numbers, true and false may be keys only under cases, where they are the values of a switch;
elsewhere put the key in quotes.
""",
    ),
    "bad-number": Explanation(
        "A number is larger than JSON can carry.",
        """
Numbers end up in JSON, where a whole number of more than 40 digits or a fraction beyond 1e308 cannot be trusted to
survive. If it is an identifier, put it in quotes.
""",
    ),
    "too-deep": Explanation(
        "The file is nested more than 32 levels deep.",
        """
This is a limit of the language. Take an inner part out: a type into types, a group into a node of its own.
""",
    ),
    "too-many-aliases": Explanation(
        "Aliases make the file far larger than it looks.",
        """
Each alias (*name) repeats what its anchor (&name) holds, and aliases of aliases multiply. What all aliases of a file
repeat is limited to 20,000 parts.
""",
    ),
}

_KEYS = {
    "unknown-key": Explanation(
        "There is no such key here.",
        """
Nothing in a graph is ever ignored: a key that the language does not know is a mistake, most often of spelling.
""",
    ),
    "misplaced-key": Explanation(
        "A key has no meaning where it stands.",
        """
The key exists, but belongs to something else, or needs another key beside it: retry belongs to agent, tool, graph
and service nodes, on_timeout and escalate to an approval with a timeout, on_failure to join: all, entry to a graph
without nodes, minimum to a field that is a number.
""",
    ),
    "missing-key": Explanation(
        "A key that must be there is not.",
        """
What lacks it, and which key it is, is in the message. Nothing that matters has a hidden default.
""",
    ),
    "wrong-type": Explanation(
        "A value is of the wrong kind.",
        """
Text is wanted and a list is given, or the like. A number or true where text is meant must be in quotes.

    instruction: 5                  # wrong
    instruction: "5"                # right
""",
    ),
    "bad-choice": Explanation(
        "A value is not one of the few that may stand here.",
        """
The message lists those that may.
""",
    ),
    "out-of-range": Explanation(
        "A number is too small or too large.",
        """
The limits are in the message. The code of a fail node is from 400 to 599, and not 409: the engine means "cancelled"
by it.
""",
    ),
    "empty-text": Explanation(
        "A text that must say something is empty.",
        """
An empty prompt, instruction or message cannot be meant. If the text comes from a file, the file is empty.
""",
    ),
    "empty-block": Explanation(
        "A group has no nodes, a parallel no branches, or a switch no cases.",
        """
There is nothing to run in it. Add a node, or remove the whole.
""",
    ),
    "bad-version": Explanation(
        "The first key of a graph says the version of the language: agentflow: 1.",
        """
It stands first, so that a reader of any version can tell what the rest means.
""",
    ),
    "bad-duration": Explanation(
        "A duration is a number with a unit: 500ms, 30s, 5m, 24h, 7d, 1h30m.",
        """
A number without a unit means seconds to one reader and milliseconds to another. Units go from large to small, each at
most once; a duration is more than nothing and at most 3650d.

    timeout: 30                     # wrong
    timeout: 30s                    # right
""",
    ),
    "bad-time": Explanation(
        "A time is written as RFC 3339 has it: 2026-01-31T08:00:00Z.",
        """
A date, a time, and the offset from UTC: Z, or +01:00. Without the offset it would mean another moment on another
machine. What is computed while the run goes on is held to the same.

    wait: {until: 2026-01-31T08:00:00}          # wrong: where?
    wait: {until: 2026-01-31T08:00:00+01:00}    # right
    wait: {until: input.due}                    # an expression of a text that is one
""",
    ),
    "bad-include": Explanation(
        "A file that is included holds types, models, tools and agents.",
        """
include lists files of the project, by paths relative to its root. What they hold counts as if it stood in the graph, so
that they hold nothing else: no nodes, no name of a graph, and no include of their own. A graph that another one needs
is called by a node.

    include: [shared/agents.yaml]           # which says: agents: {...}
""",
    ),
    "not-a-graph": Explanation(
        "A file that is meant to be included is no graph itself.",
        """
A file with nothing but types, models, tools and agents has no name and no nodes. Graphs take it in with include, and
what is wrong in it is told when one of them is checked.

    agentflow check shared/agents.yaml      # wrong
    agentflow check graphs/claim.yaml       # which says: include: [shared/agents.yaml]
""",
    ),
    "bad-schedule": Explanation(
        "A schedule says when a graph starts by itself, and with which data.",
        """
cron has five fields: minute, hour, day of the month, month, day of the week, as in "0 8 * * MON-FRI", and a time zone
beside it. every is a duration of whole seconds. The input is data that fits the graph's input: no node has run yet, so
that a template would have nothing to refer to; a run sees the time of its firing as run.key.

    schedule: {cron: "0 25 * * *", timezone: UTC}                # wrong: hours are 0 to 23
    schedule: {cron: "0 0 30 2 *", timezone: UTC}                # wrong: never
    schedule: {cron: "0 8 * * MON-FRI", timezone: Europe/Berlin, input: {name: Ada}}
    schedule: {every: 1h}
""",
    ),
    "unknown-timezone": Explanation(
        "There is no time zone of that name.",
        """
Time zones have the names of the IANA database: Europe/Berlin, America/New_York, Asia/Tokyo, UTC. Abbreviations such as
CEST or PST are none: they mean several zones, and not the same through the year.

    schedule: {cron: "0 8 * * *", timezone: Berlin}              # wrong
    schedule: {cron: "0 8 * * *", timezone: Europe/Berlin}
""",
    ),
    "missing-on-timeout": Explanation(
        "An approval with a timeout says what follows it.",
        """
When nobody answers in time, the approval may count as rejected, count as approved, or fail the run. No one of these is
safe for every graph, so there is no default.

    timeout: 24h
    on_timeout: reject              # reject, approve or fail
""",
    ),
    "bad-url": Explanation(
        "An address begins with http:// or https:// and a host.",
        """
base_url is where a model's provider, or an API, is reached; it is no template. An http tool says its method and its
address, whose host is written out, without a password; {name} after the host stands for an argument, which must be
given and be text, a number or a boolean.

    http: "GET https://api.example.com/charges/{id}"
""",
    ),
    "file-outside-project": Explanation(
        "A text is read only from files inside the project.",
        """
A path that is absolute, or leads out of the project's folder by .. or by a link, is refused: a graph must mean the
same on every machine.
""",
    ),
}

_NAMES = {
    "bad-name": Explanation(
        "A name may not be what it is.",
        """
Graphs, nodes, branches, agents, tools and models are named with a-z, 0-9 and _, beginning with a letter, at most 63
characters; types begin with a capital. The words that templates give a meaning of their own (input run state item
index previous error args result approver link message) and the keywords of Jinja and Python name nothing. The topics
of `emit` take capitals, dots and dashes too.
""",
    ),
    "duplicate-name": Explanation(
        "The same name is used for two things, or listed twice.",
        """
An agent calls tools and other agents by their names, so a tool and an agent cannot share one.
""",
    ),
    "unknown-agent": Explanation(
        "There is no such agent.",
        """
Agents are named under agents. A tool's name cannot stand for an agent; a tool node is written tool: NAME.
""",
    ),
    "unknown-tool": Explanation(
        "There is no such tool.",
        """
Tools are named under tools. In an agent's tools list the name of another agent may stand too: it is then called as a
tool.
""",
    ),
    "unknown-model": Explanation(
        "There is no such model.",
        """
An agent's model is the name of an entry under models, or a model itself: gemini-..., claude-..., or provider/model
(openai/gpt-4.1-mini, mistral/mistral-small-latest). Without one the agent uses the entry called default. In an entry
with a base_url, any other name is a model of the server there, which speaks OpenAI's protocol.
""",
    ),
    "agent-calls-itself": Explanation(
        "An agent can neither hand over to itself nor call itself as a tool.",
        """
It has the conversation already, and would call itself without end. Handoffs between several agents may go in circles;
limits.handoffs bounds them.
""",
    ),
    "several-verbs": Explanation(
        "A node does one thing: it has exactly one verb.",
        """
agent, tool, approval, parallel, switch, nodes, steps, value and fail each say what a node is. To do two things, write
two nodes. Likewise a tool is of one kind.
""",
    ),
    "no-verb": Explanation(
        "A node says what it does by one verb.",
        """
    greet: {prompt: Say hello.}                     # wrong: who?
    greet: {agent: greeter, prompt: Say hello.}     # right
""",
    ),
}

_TYPES = {
    "unknown-type": Explanation(
        "There is no such type.",
        """
A type is string, integer, number, boolean, any or null; a name under types; words joined by | (an enumeration);
[T] for a list; T | null for what may be null; or a mapping of fields.
""",
    ),
    "bad-type": Explanation(
        "This cannot be read as a type.",
        """
A list is written [string]; an enumeration has two or more words that name no type; unions of types are not supported;
an optional list is {type: [string], optional: true}; input and forms are objects.
""",
    ),
    "endless-type": Explanation(
        "A type contains itself, so that no value could ever fit it.",
        """
    types:
      Tree: {label: string, next: Tree}             # wrong: where would it end?
      Tree: {label: string, next: Tree | null}      # right
""",
    ),
    "bad-schema": Explanation(
        "A JSON Schema is none, or refers to something outside itself.",
        """
    input: {code: {schema: {type: strng}}}          # wrong
    input: {code: {schema: {type: string}}}         # right

It is read as draft 2020-12. A `$ref` is a place in the same schema: #/$defs/Name.
""",
    ),
    "bad-pattern": Explanation(
        "A pattern is not a regular expression.",
        """
Patterns are written as for Python's re module.
""",
    ),
}

_TOOLS = {
    "bad-reference": Explanation(
        "Something in Python is named as module:name.",
        """
    python: tools.weather.get_weather               # wrong
    python: "tools.weather:get_weather"             # right
""",
    ),
    "module-not-allowed": Explanation(
        "A tool's module is outside the project's tools package.",
        """
A graph can name any function of Python, so which modules it may name is settled outside of it. Keep tools under
tools/, or allow a package in pyproject.toml:

    [tool.agentflow]
    modules = ["billing.api"]
""",
    ),
    "unknown-module": Explanation(
        "There is no such module of Python.",
        """
It is looked for in the project's folder and on Python's path; nothing is imported for it.
""",
    ),
    "unreadable-module": Explanation(
        "A tool's module cannot be read.",
        """
Its source has a syntax error, or the file cannot be opened. The parameters of a tool are read from its source.
""",
    ),
    "unknown-function": Explanation(
        "There is no such function in the module.",
        """
A tool is a function, sync or async, at the top level of its module.
""",
    ),
    "bad-signature": Explanation(
        "A function cannot be called as a tool.",
        """
Arguments are given by name, so positional-only parameters cannot be; and a tool has at most one restate.Context.
""",
    ),
    "unknown-parameter": Explanation(
        "The tool's function has no such parameter.",
        """
The parameters are read from the function's source. idempotency_key and a restate.Context are filled in by the runtime
and cannot be given.
""",
    ),
    "missing-argument": Explanation(
        "A parameter that has no default is not given.",
        """
    book: {tool: book, with: {flight: "{{ input.flight }}"}}
""",
    ),
    "argument-type": Explanation(
        "An argument does not fit its parameter's type.",
        """
The type is the one annotated in the function's source. In a value, exactly one {{ expression }} keeps its type; with
text around it the whole is text.

    with: {amount: "EUR {{ decide.amount }}"}       # wrong, where amount is a number
    with: {amount: "{{ decide.amount }}"}           # right
""",
    ),
    "undo-not-a-step": Explanation(
        "A compensation calls a tool that is one durable step.",
        """
Undoing must finish even in a run that was cancelled, where nothing can be waited for but single steps. A function that
takes a restate.Context keeps its own journal, and is more than one.
""",
    ),
    "member-not-a-step": Explanation(
        "A tool of a parallel tool is one durable step.",
        """
A parallel tool starts all of its tools at once and waits for them together, so that each must be a single step: no
function that takes a restate.Context, no graph, no question to a person, no other parallel tool, and none that has a
confirm; that belongs to the parallel tool itself. Nor may it change an object's state, which two at once would do
without seeing what the other writes.

    tools:
      fraud: {graph: fraud}
      both: {parallel: [credit, fraud], args: {customer: string}}   # wrong: fraud is a graph
""",
    ),
    "second-compensation": Explanation(
        "A node whose tool has a compensation cannot have another.",
        """
Which of the two should undo the call would be anybody's guess. Keep the one of the tool, which holds wherever the tool
is used, or move it to the nodes.
""",
    ),
}

_OUTSIDE = {
    "host-not-allowed": Explanation(
        "A tool would ask a host that is not of the open internet.",
        """
Addresses of this machine, of private networks and of a cloud's metadata are refused, here where they are written out,
and when a tool is called where a name turns out to stand for one. What is meant is allowed in pyproject.toml, by the
host's name, or by name and port:

    [tool.agentflow]
    hosts = ["localhost:8081", "crm.internal"]
""",
    ),
    "bad-header": Explanation(
        "A header cannot be sent as it is.",
        """
A header's name is made of letters, digits and hyphens, capitals make no difference, and its value is one line. Host,
Content-Length and the like are made of the request itself. Headers of an MCP server are no templates.
""",
    ),
    "bad-env": Explanation(
        "A variable of the environment is not named as one, or not given as one.",
        """
A secret is {env: NAME}, with the name of a variable: letters, digits and _, not its value. In env, a value is a
secret or a plain text; it is no template.

    headers: {Authorization: {env: PAY_KEY}}
    env: {API_KEY: {env: PAY_KEY}, LANG: C.UTF-8}
""",
    ),
    "misplaced-secret": Explanation(
        "A secret stands where none is read.",
        """
{env: NAME} is read in headers, in env, and in the place of an address. Elsewhere (a body, an argument of a command) it
would be kept in journals, or seen by others: send it in a header, hand it over in env, or let a Python tool send it.
""",
    ),
    "unknown-operation": Explanation(
        "A tool set has no such operation.",
        """
operations names operations of the specification by their operationId; effects names what operations or allow list.
""",
    ),
    "bad-specification": Explanation(
        "A specification, or an operation of it, cannot be used.",
        """
A specification is a file of OpenAPI 3 in the project, as JSON or YAML, at most 16 MiB, which refers to nothing outside
itself. Bodies are JSON, forms or text; parameters are written as the standard does it by default. What else an
operation needs (an upload, say) is done by an http or a Python tool.
""",
    ),
    "shell-template": Explanation(
        "A shell would run what a template writes.",
        """
What an argument holds would be taken for a part of the script. Each element of a command is one argument whatever is
in it, also for a script of one's own, where it is "$1":

    command: [sh, -c, "ls {{ args.path }}"]                       # wrong
    command: [ls, "--", "{{ args.path }}"]
    command: [sh, -c, 'ls -- "$1" | wc -l', sh, "{{ args.path }}"]
""",
    ),
}

_TESTS = {
    "bad-reply": Explanation(
        "A test says what a model answers in a way that is none.",
        """
An entry of a list of replies is one of say, call, calls, handoff and error, as in NAME.replies.yaml:

    replies: {adjuster: [{say: {decision: pay, amount: 200, reason: fine}}]}
""",
    ),
    "test-failed": Explanation(
        "A test case did not go as it expects.",
        """
The place is what the case expects, or what it wanted done and could not be. Mappings under expect are subsets, lists
and all else must be equal. What became of the run, where that may explain it, is in the help of the first.
""",
    ),
}

CODES: dict[str, Explanation] = {
    **_FILE,
    **_KEYS,
    **_NAMES,
    **_TYPES,
    **_TOOLS,
    **_OUTSIDE,
    **_TESTS,
    **RULE_CODES,
}
