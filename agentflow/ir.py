"""What a durable program can do, as frozen dataclasses: the one form between the graph and everything made of it.

`lower` makes a `Program` from a checked graph; `codegen` writes Python from it and `visualize` draws it.
The operations are closed (`Op`); the node kinds of the language are open and all lower to these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentflow.types import Json, Object, Type

# ---------------------------------------------------------------- what is computed


@dataclass(frozen=True)
class Text:
    """A template that yields text: a prompt, a message. `{file:}` has been read."""

    template: str


@dataclass(frozen=True)
class Value:
    """JSON-like data whose strings are templates; exactly one `{{ expression }}` keeps its type."""

    data: Json


@dataclass(frozen=True)
class Expr:
    """An expression without braces, or a YAML literal's text."""

    text: str


# ---------------------------------------------------------------- what is declared


@dataclass(frozen=True)
class Retry:
    """Durations in milliseconds; None where the author said nothing."""

    attempts: int | None = None
    initial: int | None = None
    factor: float | None = None
    max: int | None = None
    within: int | None = None


@dataclass(frozen=True)
class Undo:
    """A compensation: call `tool` with `args`, in a scope of `args`, `result`, `error` and `refs`."""

    tool: str
    args: Value
    on: Literal["completed", "attempted"]
    refs: tuple[str, ...]  # names of nodes, `input`, `run` it refers to, in file order


@dataclass(frozen=True)
class TypeDef:
    name: str
    type: Type
    line: int


@dataclass(frozen=True)
class Price:
    """Per million tokens."""

    input: float
    output: float


@dataclass(frozen=True)
class Model:
    name: str  # the entry's name in `models:`, or the model itself where an agent names one directly
    model: str
    generate: dict[str, Json]
    retry: Retry | None
    line: int
    base_url: str | None = None
    api_key: str | None = None  # the environment variable that holds it
    price: Price | None = None


@dataclass(frozen=True)
class Python:
    """A function of the user's."""

    module: str
    function: str
    keeps_own_journal: bool  # takes a restate.Context
    takes_key: bool  # takes `idempotency_key`
    takes_state: bool = False  # takes `state`, in an object


@dataclass(frozen=True)
class Secret:
    """A variable of the environment, read when it is used and never kept."""

    name: str


@dataclass(frozen=True)
class Http:
    """One HTTP request, written out in the graph. Header values and the body are templates over the arguments."""

    method: str
    url: str  # with {names} of arguments after its host
    args: Type | None  # an object; None: it takes none
    headers: tuple[tuple[str, Json | Secret], ...]
    body: Value | None  # None: made of the arguments
    returns: Type | None
    hosts: tuple[str, ...]  # those that the project allows though they are not of the open internet


@dataclass(frozen=True)
class Api:
    """What the operations of one OpenAPI specification share; `name` is the tool set's."""

    name: str
    base_url: str | Secret
    headers: tuple[tuple[str, Json | Secret], ...]
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class ApiOperation:
    """One operation of a specification. The arguments that no place names are the fields of the body."""

    api: Api
    method: str
    path: str
    args: Type | None
    query: tuple[str, ...]
    header: tuple[str, ...]
    cookie: tuple[str, ...]
    joined: tuple[str, ...]  # arguments whose lists are one value, with commas
    body: str | None  # the argument that is the whole body
    media: Literal["json", "form", "text"]
    returns: Type | None


@dataclass(frozen=True)
class McpServer:
    """An MCP server: a command that is started for each call, or an address; `name` is the tool set's."""

    name: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str | Secret], ...]
    url: str | Secret | None
    headers: tuple[tuple[str, str | Secret], ...]
    allow: tuple[str, ...]
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class McpTool:
    server: McpServer
    tool: str


@dataclass(frozen=True)
class Command:
    """A program and its arguments, each a template of one."""

    words: tuple[str, ...]
    args: Type | None
    env: tuple[tuple[str, str | Secret], ...]
    returns: Type | None  # None: text


def secrets(does: Does) -> tuple[str, ...]:
    """The variables of the environment that a tool reads when it is called, each once."""
    match does:
        case Http():
            given: list[object] = [value for _, value in does.headers]
        case ApiOperation(api=api):
            given = [api.base_url, *(value for _, value in api.headers)]
        case McpTool(server=server):
            given = [server.url, *(value for _, value in (*server.env, *server.headers))]
        case Command():
            given = [value for _, value in does.env]
        case _:
            given = []
    return tuple(dict.fromkeys(value.name for value in given if isinstance(value, Secret)))


@dataclass(frozen=True)
class Confirm:
    """A person approves a call of a tool, with the arguments that it will be made with. Texts see `args`."""

    when: str | bool
    message: Text
    approvers: Value
    timeout: int | None  # ms
    escalate: tuple[Escalation, ...]
    on_timeout: Literal["reject", "approve", "fail"] | None


@dataclass(frozen=True)
class CalledGraph:
    """A graph of the project, in a run of its own."""

    graph: str
    kind: str
    args: Type | None


@dataclass(frozen=True)
class CalledService:
    """A handler elsewhere, in an invocation of its own."""

    service: Service
    args: Type | None


@dataclass(frozen=True)
class Asking:
    """A person approves (`form` None), or fills in a form. Texts see `args`."""

    message: Text
    args: Type | None
    to: Value
    form: Type | None
    timeout: int | None  # ms
    on_timeout: Literal["reject", "approve", "fail", "continue"] | None


@dataclass(frozen=True)
class Together:
    """Several tools of the graph at once."""

    args: Type | None
    members: tuple[tuple[str, tuple[str, ...] | None], ...]  # each with the arguments that it takes; None: all


Does = Python | Http | ApiOperation | McpTool | Command | CalledGraph | CalledService | Asking | Together


@dataclass(frozen=True)
class Tool:
    name: str
    does: Does
    description: str | None
    effect: Literal["read", "write", "dangerous"]
    retry: Retry | None
    timeout: int | None  # ms, for one try
    undo: Undo | None
    line: int
    parameters: Json  # JSON Schema of the arguments
    returns: Type
    confirm: Confirm | None = None

    @property
    def one_step(self) -> bool:
        """Whether a call waits exactly once; else it waits more than once, or keeps a journal of its own."""
        if self.confirm is not None:
            return False
        match self.does:
            case Python():
                return not self.does.keeps_own_journal
            case Together():
                return False
            case CalledService():  # the engine is asked what it is, then it is called
                return False
            case Http() | ApiOperation() | McpTool() | Command() | CalledGraph() | Asking():
                return True

    @property
    def members(self) -> tuple[str, ...]:
        """The tools that a call of it runs; none where it does something itself."""
        return tuple(name for name, _ in self.does.members) if isinstance(self.does, Together) else ()


@dataclass(frozen=True)
class Agent:
    name: str
    description: str | None
    instruction: Text
    model: str  # name of a Model
    tools: tuple[str, ...]  # names of Tools
    agents: tuple[str, ...]  # names of Agents called as tools
    handoffs: tuple[str, ...]
    returns: Type | None
    input: Type | None
    generate: dict[str, Json]
    limits: Limits
    line: int


@dataclass(frozen=True)
class Session:
    """How much of an object's conversation a model is given: so many messages, and a summary of those before them."""

    keep: int
    summarize_after: int | None
    agent: str  # whose model summarizes: the first that speaks in it


@dataclass(frozen=True)
class Limits:
    """What a run, or an agent's turn, may spend at most."""

    time: int | None = None  # ms
    model_calls: int | None = None
    tool_calls: int | None = None
    tokens: int | None = None
    cost: float | None = None
    handoffs: int | None = None
    fan_out: int | None = None


# ---------------------------------------------------------------- what is done


@dataclass(frozen=True)
class Step:
    """One call of a tool: one durable step, unless the tool keeps its own journal."""

    tool: str
    args: Value
    retry: Retry | None  # replaces the tool's


@dataclass(frozen=True)
class Turn:
    """An agent works on a prompt until it answers: model calls, tool calls, handoffs."""

    agent: str
    prompt: Text
    returns: Type | None  # None: text
    retry: Retry | None
    conversation: str | None = None


@dataclass(frozen=True)
class Escalation:
    to: Value  # a list of names
    timeout: int  # ms


@dataclass(frozen=True)
class Notify:
    tool: str
    args: Value  # also sees `approver`, `link`, `message`


@dataclass(frozen=True)
class Gate:
    """A person decides; waits in an invocation of its own."""

    message: Text
    approvers: Value
    timeout: int | None
    escalate: tuple[Escalation, ...]
    on_timeout: Literal["reject", "approve", "fail"] | None
    on_reject: Literal["fail", "continue"]
    form: Type | None
    notify: Notify | None


@dataclass(frozen=True)
class Question:
    """A person fills in a form; waits in an invocation of its own. Never counts as consent."""

    message: Text
    to: Value
    timeout: int | None
    on_timeout: Literal["fail", "continue"] | None
    form: Type
    notify: Notify | None


@dataclass(frozen=True)
class Receive:
    """The oldest message of a name that was sent to the run and nobody has taken yet."""

    event: str
    type: Type
    timeout: int | None
    on_timeout: Literal["fail", "continue"] | None


@dataclass(frozen=True)
class Graph:
    """A graph of the project, to be called."""

    name: str
    kind: str


@dataclass(frozen=True)
class Service:
    """A Restate handler, to be called; what it gives is checked against `returns`."""

    name: str
    handler: str
    returns: Type | None


@dataclass(frozen=True)
class Call:
    """Something else is called, in an invocation of its own; or sent to, and left alone."""

    callee: Graph | Service
    args: Value | None
    key: Text | None  # None: from the run and the node's place
    mode: Literal["call", "send"]
    delay: int | None  # ms
    until: Expr | None
    retry: Retry | None

    @property
    def unknown(self) -> bool:
        """Whether it must be asked first what is called: without a key, an object's is not called."""
        return isinstance(self.callee, Service) and self.key is None

    @property
    def sent_late(self) -> bool:
        return self.delay is not None or self.until is not None

    @property
    def one_wait(self) -> bool:
        """Whether it waits at most once; else it can only run beside others in an invocation of its own."""
        return not self.unknown and self.retry is None


@dataclass(frozen=True)
class Fan:
    """Several at once; each branch is one node in a scope of its own."""

    branches: tuple[Node, ...]
    join: Literal["all", "any", "first"] | int
    on_failure: Literal["fail_fast", "collect"]


@dataclass(frozen=True)
class Case:
    value: str | int | bool
    node: Node


@dataclass(frozen=True)
class Choice:
    subject: Expr
    cases: tuple[Case, ...]
    default: Node | None


@dataclass(frozen=True)
class Group:
    body: Block
    ordered: bool  # `steps`: one after the other


@dataclass(frozen=True)
class Each:
    """The same node for every item of a list, side by side; each in a scope of its own that has the item."""

    over: Expr | Value
    item: str  # the item's name in that scope, beside `index`
    node: Node
    max_parallel: int
    join: Literal["all", "any", "first"] | int
    on_failure: Literal["fail_fast", "collect"]


@dataclass(frozen=True)
class Loop:
    """Rounds of the same nodes, one after the other; each sees `index` and `previous`."""

    body: Block
    until: Expr  # sees the round's nodes
    max: int
    start: Value | None  # the first round's `previous`
    every: int | None  # ms between rounds
    on_max: Literal["fail", "continue"]


@dataclass(frozen=True)
class Let:
    value: Value


@dataclass(frozen=True)
class Wait:
    """A durable timer: for a duration, or until a time; one of the two is given."""

    duration: Text | None
    until: Expr | None


@dataclass(frozen=True)
class Emit:
    """Tells whoever follows the run."""

    topic: str
    data: Value


@dataclass(frozen=True)
class Put:
    """Writes values to the object's state, by name; they are its value too."""

    values: Value


@dataclass(frozen=True)
class Fail:
    message: Text
    code: int


Op = (
    Step | Turn | Gate | Fan | Each | Choice | Group | Loop | Let | Wait | Put | Emit | Fail | Question | Receive | Call
)


@dataclass(frozen=True)
class Node:
    name: str
    path: str  # the address: dotted names from the graph's top, `checks.book`
    kind: str  # the verb in the YAML
    op: Op
    line: int
    type: Type  # of its value
    description: str | None = None
    needs: tuple[str, ...] = ()  # every name of the same block it waits for, in file order
    refs: tuple[str, ...] = ()  # every outer name (of nodes, `input`, `run`) that it or anything inside it uses
    when: Expr | None = None
    timeout: int | None = None  # ms; a gate's own timeout is the gate's
    on_error: Continue | Use | Run | None = None
    undo: Undo | None = None


@dataclass(frozen=True)
class Continue:
    """`on_error: continue`: null takes the node's place."""


@dataclass(frozen=True)
class Use:
    value: Value


@dataclass(frozen=True)
class Run:
    node: Node  # sees `error`


@dataclass(frozen=True)
class Line:
    """Straight-line code: this node's place among its siblings is fixed."""

    node: str


@dataclass(frozen=True)
class Region:
    """These may run side by side: each starts when what it needs is done. In file order."""

    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Nodes of one scope, in file order, and the plan by which they run."""

    nodes: tuple[Node, ...]
    plan: tuple[Line | Region, ...]
    output: Value | None  # None: of one node its value, of several an object of their values


@dataclass(frozen=True)
class Schedule:
    """When runs begin by themselves: by `cron` in its `timezone`, or `every` so many milliseconds."""

    cron: str | None
    timezone: str | None
    every: int | None  # ms
    input: Json
    line: int


@dataclass(frozen=True)
class After:
    """What is done once a run has ended, however it did; sees `error`, `run.state`, and nodes that may be null."""

    body: Block
    refs: tuple[str, ...]  # the names that it uses: of nodes, `input`


@dataclass(frozen=True)
class Program:
    name: str
    kind: Literal["workflow", "service", "object"]
    description: str | None
    source: str  # the file, relative to the project's root, with forward slashes
    digest: str  # sha256 of the file's bytes and of those that it includes, hex
    input: Type
    output: Type
    types: tuple[TypeDef, ...]
    models: tuple[Model, ...]
    tools: tuple[Tool, ...]
    agents: tuple[Agent, ...]
    body: Block
    limits: Limits
    schedule: Schedule | None = None
    includes: tuple[str, ...] = ()  # files beside the source that are part of it, named like it
    after: After | None = None
    state: Object | None = None  # of an object: what it keeps beside the conversation
    session: Session | None = None  # of an object in which an agent speaks
    on_busy: Literal["queue", "interrupt"] = "queue"
    exact: tuple[str, ...] = ()  # limits that the author set, and that hold exactly also side by side

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Its body, and what follows it."""
        return (self.body,) if self.after is None else (self.body, self.after.body)
