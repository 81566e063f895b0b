"""Programs made by hand, for drawing: the claim graph, a team in a cycle, a nested graph, a wide one, a hostile one."""

from __future__ import annotations

from typing import Any, Literal

from agentflow.ir import (
    Agent,
    Block,
    Case,
    Choice,
    Continue,
    Escalation,
    Expr,
    Fail,
    Fan,
    Gate,
    Group,
    Let,
    Limits,
    Line,
    Model,
    Node,
    Op,
    Program,
    Python,
    Region,
    Retry,
    Run,
    Step,
    Text,
    Tool,
    Turn,
    Undo,
    Use,
    Value,
)
from agentflow.types import ANY, NUMBER, STRING, Enumeration, Field, Named, Nullable, Object, Type

Effect = Literal["read", "write", "dangerous"]
ASKED = Object((Field("text", STRING),))
MODELS = (
    Model("default", "gemini-2.5-flash", {}, None, 16),
    Model("careful", "gemini-2.5-pro", {"temperature": 0}, Retry(5, 1000, None, 30000), 17),
)


def tool(name: str, effect: Effect = "write", undo: str | None = None) -> Tool:
    undone = Undo(undo, Value({"payment": "{{ result.id }}"}), "completed", ()) if undo else None
    does = Python("tools.insurance", name, False, False)
    return Tool(name, does, None, effect, None, None, undone, 20, {}, ANY)


def agent(
    name: str,
    tools: tuple[str, ...] = (),
    agents: tuple[str, ...] = (),
    handoffs: tuple[str, ...] = (),
    model: str = "default",
    description: str | None = None,
) -> Agent:
    text = Text(f"You are {name}.")
    return Agent(name, description, text, model, tools, agents, handoffs, None, None, {}, Limits(), 30)


def node(name: str, kind: str, op: Op, *needs: str, when: str | None = None, path: str = "", **rest: Any) -> Node:
    condition = Expr(when) if when is not None else None
    return Node(name, path or name, kind, op, 40, ANY, needs=needs, when=condition, **rest)


def turn(name: str, who: str, *needs: str, when: str | None = None, **rest: Any) -> Node:
    return node(name, "agent", Turn(who, Text("{{ input.text }}"), None, None), *needs, when=when, **rest)


def step(name: str, what: str, *needs: str, when: str | None = None, **rest: Any) -> Node:
    return node(name, "tool", Step(what, Value({"id": "{{ input.id }}"}), None), *needs, when=when, **rest)


def block(*nodes: Node, output: Value | None = None, plan: tuple[Line | Region, ...] | None = None) -> Block:
    return Block(nodes, plan if plan is not None else (Region(tuple(n.name for n in nodes)),), output)


def program(
    name: str,
    body: Block,
    *,
    agents: tuple[Agent, ...] = (),
    tools: tuple[Tool, ...] = (),
    input: Type = ASKED,
    output: Type = STRING,
    description: str | None = None,
) -> Program:
    source = f"graphs/{name}.yaml"
    return Program(
        name, "workflow", description, source, "0" * 64, input, output, (), MODELS, tools, agents, body, Limits()
    )


def claim() -> Program:
    sign_off = Gate(
        Text("Pay {{ decide.amount }} to {{ input.holder }}? {{ decide.reason }}"),
        Value(["claims"]),
        86_400_000,
        (Escalation(Value(["claims_leads"]), 14_400_000),),
        "reject",
        "continue",
        None,
        None,
    )
    pay = Step("pay", Value({"claim_id": "{{ input.claim_id }}", "amount": "{{ decide.amount }}"}), Retry(attempts=5))
    condition = 'decide.decision == "pay" and (sign_off is skipped or sign_off.approved)'
    letter = Turn(
        "adjuster", Text("Write to {{ input.holder }}: {{ 'paid' if payment else 'not paid' }}."), STRING, None
    )
    body = Block(
        (
            turn("medical_review", "medical"),
            turn("fraud_review", "fraud"),
            turn("decide", "adjuster", "medical_review", "fraud_review"),
            node("sign_off", "approval", sign_off, "decide", when='decide.decision == "pay" and decide.amount > 1000'),
            node("payment", "tool", pay, "decide", "sign_off", when=condition),
            node("letter", "agent", letter, "payment"),
        ),
        (Region(("medical_review", "fraud_review")), *map(Line, ("decide", "sign_off", "payment", "letter"))),
        Value(
            {
                "decision": "{{ decide.decision }}",
                "receipt": "{{ payment.id | default(none) }}",
                "letter": "{{ letter }}",
            }
        ),
    )
    given = [Field("claim_id", STRING), Field("holder", STRING), Field("amount", NUMBER), Field("text", STRING)]
    decision = Enumeration(("pay", "reject"))
    output = Object((Field("decision", decision), Field("receipt", Nullable(STRING)), Field("letter", STRING)))
    return program(
        "claim",
        body,
        agents=(agent("medical", ("policy_of",)), agent("fraud"), agent("adjuster", model="careful")),
        tools=(tool("policy_of", "read"), tool("pay", "dangerous", "refund"), tool("refund")),
        input=Object(tuple(given)),
        output=output,
        description="Reviews an insurance claim and pays it.",
    )


def support() -> Program:
    """Handoffs there and back, and once around."""
    agents = (
        agent("triage", handoffs=("billing", "technical"), description="Finds out who can help."),
        agent("billing", ("invoice_of", "refund"), handoffs=("triage",)),
        agent("technical", ("search_docs",), handoffs=("triage", "engineer"), agents=("translator",)),
        agent("engineer", ("restart",), handoffs=("billing", "triage"), model="careful"),
        agent("translator"),
    )
    tools = tuple(tool(name) for name in ("invoice_of", "refund", "search_docs", "restart"))
    return program("support", block(turn("answer", "triage")), agents=agents, tools=tools)


def nested() -> Program:
    """Every operation there is, groups within groups, what is done on error."""
    gate = Gate(
        Text("Book the hotel for {{ input.text }}?"),
        Value(["{{ input.text }}", "office"]),
        None,
        (),
        None,
        "fail",
        Object((Field("room", STRING), Field("nights", NUMBER))),
        None,
    )
    book = block(
        node("flight", "tool", Step("book", Value({}), None), path="trip.flight"),
        node("permit", "approval", gate, path="trip.permit"),
        node("hotel", "tool", Step("book", Value({}), None), "permit", path="trip.hotel", on_error=Continue()),
        output=Value({"flight": "{{ flight.id }}"}),
    )
    checks = Fan(
        (
            step("weather", "look_up", path="checks.weather"),
            turn("visa", "clerk", path="checks.visa"),
            node("trip", "nodes", Group(book, False), path="checks.trip", timeout=3_600_000),
        ),
        "all",
        "collect",
    )
    route = Choice(
        Expr("checks.visa.kind"),
        (
            Case("eu", node("nothing", "value", Let(Value("no visa needed")), path="route.eu")),
            Case("us", step("esta", "apply", path="route.us", when="input.text != 'again'")),
            Case("other", node("refuse", "fail", Fail(Text("No way to {{ input.text }}"), 422), path="route.other")),
        ),
        turn("ask_embassy", "clerk", path="route.default"),
    )
    paper = block(
        step("print", "print_all", path="papers.print"),
        step("sign", "sign_all", path="papers.sign"),
        step("post", "post_all", path="papers.post"),
        plan=tuple(map(Line, ("print", "sign", "post"))),
    )
    race = Fan((turn("quick", "clerk"), turn("slow", "clerk"), turn("slower", "clerk")), 2, "fail_fast")
    body = block(
        node("checks", "parallel", checks),
        node("route", "switch", route, "checks", on_error=Use(Value({"kind": "unknown"}))),
        node("papers", "steps", Group(paper, True), "checks", undo=Undo("shred", Value({}), "attempted", ())),
        step("pay", "pay", "route", "papers", on_error=Run(turn("explain", "clerk", path="pay.explain"))),
        node("guess", "parallel", race, "checks"),
        node("done", "value", Let(Value({"paid": "{{ pay }}", "guess": "{{ guess }}"})), "pay", "guess"),
    )
    tools = tuple(tool(name) for name in ("book", "look_up", "apply", "print_all", "sign_all", "post_all", "shred"))
    return program("trip", body, agents=(agent("clerk"),), tools=(*tools, tool("pay", "dangerous", "refund")))


def wide() -> Program:
    """25 nodes as a team might write them: gathering, judging, approving, acting, telling."""
    n: list[Node] = []
    sources = ("crm_record", "credit_score", "sanctions_list", "web_presence", "bank_statements", "tax_returns")
    n += [step(name, f"fetch_{name}") for name in sources]
    n += [
        turn("summarize_identity", "analyst", "crm_record", "web_presence"),
        turn("summarize_finances", "analyst", "bank_statements", "tax_returns", "credit_score"),
        turn("screen_sanctions", "compliance_officer_for_international_trade", "sanctions_list", "summarize_identity"),
        step("risk_model", "score", "summarize_finances", "screen_sanctions"),
        turn("risk_report", "underwriter", "risk_model", "summarize_finances", "summarize_identity"),
        turn("second_opinion", "underwriter", "risk_report", when="risk_model.score > 0.4 and risk_model.score < 0.8"),
        step("collateral_register", "collateral", "crm_record"),
        turn("collateral_view", "analyst", "collateral_register", when="input.amount > 250000"),
        turn("decision", "underwriter", "risk_report", "second_opinion", "collateral_view"),
    ]
    gate = Gate(
        Text("Grant {{ decision.amount }} at {{ decision.rate }} % to {{ input.holder }}?"),
        Value(["credit_committee"]),
        172_800_000,
        (Escalation(Value(["head_of_credit", "cfo"]), 86_400_000),),
        "reject",
        "continue",
        None,
        None,
    )
    n += [
        node("committee", "approval", gate, "decision", when="decision.amount > 100000"),
        step("offer", "make_offer", "decision", "committee", when="committee is skipped or committee.approved"),
        turn("refusal_letter", "writer", "decision", "committee", when="not offer"),
        turn("offer_letter", "writer", "offer"),
        step("sign_contract", "sign", "offer_letter", "offer"),
        step("pay_out", "pay", "sign_contract", "offer"),
        step("book_in_ledger", "ledger", "pay_out"),
        step("notify_branch", "mail", "pay_out", "refusal_letter"),
        step("archive", "archive", "book_in_ledger", "notify_branch", "risk_report"),
        node("result", "value", Let(Value({"decision": "{{ decision }}"})), "archive", "decision"),
    ]
    agents = tuple(map(agent, ("analyst", "compliance_officer_for_international_trade", "underwriter", "writer")))
    tools = (tool("pay", "dangerous", "take_back"), tool("make_offer", undo="withdraw_offer"))
    return program("loan", block(*n), agents=agents, tools=tools)


HOSTILE = (
    '"]; click n1 call alert() %% </text></svg><script>alert(1)</script> &amp; \\" \\ \x1b[31m \r\n{{ }} #quot; `x` '
    "\u202eright to left\u202c \u2028 \ud800 \ufffe 漢字 🙂 --> ]]> |pipe| <b>b</b> (round) {curly} [square]"
)


def hostile() -> Program:
    gate = Gate(Text(HOSTILE), Value([HOSTILE]), 1000, (), "fail", "fail", None, None)
    choice = Choice(Expr(HOSTILE), (Case(HOSTILE, step("a", "t")), Case(True, step("b", "t"))), None)
    body = block(
        node("end", "value", Let(Value(HOSTILE)), when=HOSTILE, description=HOSTILE),
        node("subgraph", "approval", gate, "end", when=HOSTILE),
        node("graph", "switch", choice, "subgraph", "end"),
        node("style", "fail", Fail(Text(HOSTILE), 400), "graph", when="x == '" + HOSTILE + "'"),
        turn("click", "class", "graph", on_error=Use(Value({HOSTILE: HOSTILE}))),
    )
    given = Object((Field("weird", Enumeration((HOSTILE, "b"))), Field("named", Named("T"))))
    agents = (agent("class", (HOSTILE,), handoffs=("end",), description=HOSTILE), agent("end", handoffs=("class",)))
    return program("hostile", body, agents=agents, tools=(tool("t"),), input=given, description=HOSTILE)


ALL = {"claim": claim, "support": support, "nested": nested, "wide": wide, "hostile": hostile}
