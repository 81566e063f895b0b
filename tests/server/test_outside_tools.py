"""Tools that reach outside, on the real engine: killed within a request, a command and a call of an MCP server; tried
again, undone, pinned, and never telling a secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import DESK, PROJECT, Engine, Service, Zygote, until
from ports import free_port
from tied import tied

from agentflow.client import Refused
from tests.runtime.outside import Answer, Asked, Outside, outside

MCP_DESK = PROJECT / "tests" / "runtime" / "mcp_desk.py"
SECRET = "Bearer sesame-open-very-secretly"

SPECIFICATION = """
openapi: 3.0.3
paths:
  /customers/{id}:
    get:
      operationId: getCustomer
      summary: Finds a customer.
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses:
        200: {content: {application/json: {schema: {$ref: "#/components/schemas/Customer"}}}}
  /customers:
    post:
      operationId: createCustomer
      requestBody:
        content: {application/json: {schema: {type: object, required: [name], properties: {name: {type: string}}}}}
      responses:
        201: {content: {application/json: {schema: {$ref: "#/components/schemas/Customer"}}}}
components:
  schemas:
    Customer: {type: object, required: [id], properties: {id: {type: string}, name: {type: string}}}
"""

TOOLS = """
models:
  default: {model: gemini-2.5-flash, retry: {attempts: 5, initial: 50ms, max: 500ms}}
tools:
  pay:
    http: "POST @URL/charges/{who}"
    args: {who: string, amount: number}
    headers: {Authorization: {env: PAY_WORD}, Idempotency-Key: "{{ idempotency_key }}"}
    returns: {id: string}
    retry: {attempts: 6, initial: 20ms, max: 200ms}
    compensate: {tool: refund, with: {id: "{{ result.id }}"}}
  refund: {http: "DELETE @URL/charges/{id}", args: {id: string}, headers: {Idempotency-Key: "{{ idempotency_key }}"}}
  rate: {http: "GET @URL/rates", args: {day: string}, returns: {rate: number}}
  patient: {http: "POST @URL/patient", headers: {Idempotency-Key: "{{ idempotency_key }}"}}
  crm:
    openapi: crm.yaml
    operations: [getCustomer, createCustomer]
    base_url: "@URL"
    headers: {Authorization: {env: PAY_WORD}}
    effects: {getCustomer: read}
    retry: {attempts: 3, initial: 20ms}
  stamp:
    command: ["@PYTHON", "@SCRIPT", "{{ args.name }}", "{{ idempotency_key }}"]
    args: {name: string}
    env: {WORD: {env: PAY_WORD}}
    returns: {name: string, key: string}
  dawdle: {command: ["@PYTHON", "@SCRIPT", "{{ args.name }}", slow], args: {name: string}, effect: read}
  desk:
    mcp: {command: ["@PYTHON", "@MCP"], env: {MCP_DESK_LOG: "@LOG", MCP_DESK_WITHOUT: "@WITHOUT"}}
    allow: [add, look, book, refuse]
    effect: read
    effects: {book: write}
  far:
    mcp: {url: "http://127.0.0.1:@FAR/mcp"}
    allow: [look]
  act: {python: "tools.desk:act"}
"""

GRAPHS = {
    "buy": """
input: {who: string, fail: boolean}
nodes:
  paid: {tool: pay, with: {who: "{{ input.who }}", amount: 5000}}
  stop: {fail: no more, code: 418, when: input.fail, needs: [paid]}
  after: {tool: act, with: {name: "{{ paid.id }}"}, needs: [stop]}
output: "{{ paid.id }}"
""",
    "wait_long": """
nodes:
  done: {tool: patient}
output: "{{ done }}"
""",
    "customers": """
input: {name: string}
nodes:
  made: {tool: crm.createCustomer, with: {name: "{{ input.name }}"}}
  found: {tool: crm.getCustomer, with: {id: "{{ made.id }}"}}
output: "{{ found.name | default('nobody') }}"
""",
    "ask_clerk": """
agents:
  clerk: {instruction: You help., tools: [crm, rate]}
nodes:
  answer: {agent: clerk, prompt: "Well?"}
output: "{{ answer }}"
""",
    "printed": """
input: {name: string}
nodes:
  page: {tool: stamp, with: {name: "{{ input.name }}"}}
output: {name: "{{ page.name }}", key: "{{ page.key }}"}
""",
    "slow_print": """
nodes:
  page: {tool: dawdle, with: {name: slow}}
output: "{{ page }}"
""",
    "booking": """
agents:
  clerk: {instruction: You book., tools: [desk]}
nodes:
  answer: {agent: clerk, prompt: "Well?"}
output: "{{ answer }}"
""",
    "far_away": """
nodes:
  seen: {tool: far.look, with: {name: you}}
output: "{{ seen }}"
""",
    "ask_far": """
agents:
  clerk: {instruction: You look., tools: [far]}
nodes:
  answer: {agent: clerk, prompt: "Well?"}
output: "{{ answer }}"
""",
    "desk_nodes": """
input: {tool: add | look | refuse}
nodes:
  seen:
    switch: input.tool
    cases:
      add: {tool: desk.add, with: {a: 1, b: 2}}
      look: {tool: desk.look, with: {name: you}}
      refuse: {tool: desk.refuse, with: {name: tea}}
output: "{{ seen }}"
""",
}

REPLIES = {
    "ask_clerk": """
clerk:
  - calls:
      - {tool: crm.getCustomer, with: {id: c7}}
      - {tool: rate, with: {day: monday}}
      - {tool: crm_getCustomer, with: {number: 7}}
  - say: looked
""",
    "booking": """
clerk:
  - call: {tool: desk.add, with: {a: 1, b: two}}
  - calls: [{tool: desk.book, with: {name: room, seconds: 1}}, {tool: desk.refuse, with: {name: tea}}]
  - say: booked
""",
    "ask_far": """
clerk:
  - call: {tool: far.look, with: {name: you}}
  - say: seen
""",
}

SCRIPT = """
import json, os, sys, time
name, key = sys.argv[1:]
with open(os.path.join(os.path.dirname(__file__), "printed.jsonl"), "a") as file:
    file.write(json.dumps({"name": name, "key": key, "pid": os.getpid(), "event": "begin"}) + "\\n")
time.sleep(120 if key == "slow" else 1.5 if name == "late" else 0)
if name == "wrong":
    print("bad paper, said", os.environ["WORD"], file=sys.stderr)
    sys.exit(3)
with open(os.path.join(os.path.dirname(__file__), "printed.jsonl"), "a") as file:
    file.write(json.dumps({"name": name, "key": key, "pid": os.getpid(), "event": "done"}) + "\\n")
print(json.dumps({"name": name, "key": key, "more": 1}))
"""

FAR = free_port()


@pytest.fixture(scope="module")
def beyond() -> Iterator[Outside]:
    with outside() as one:
        yield one


@pytest.fixture(scope="module")
def stand(
    engine: Engine, zygote: Zygote, beyond: Outside, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("outside")
    service = Service(engine, zygote, folder, {"PAY_WORD": SECRET}, tools=(DESK,))
    (service.root / "pyproject.toml").write_text(
        f'[tool.agentflow]\nhosts = ["127.0.0.1:{beyond.port}", "127.0.0.1:{FAR}"]\n'
    )
    (service.root / "crm.yaml").write_text(SPECIFICATION)
    (folder / "script.py").write_text(SCRIPT)
    values = {"URL": beyond.url, "PYTHON": sys.executable, "SCRIPT": str(folder / "script.py"), "MCP": str(MCP_DESK)}
    values |= {"LOG": str(folder / "desk.jsonl"), "WITHOUT": str(folder / "without"), "FAR": str(FAR)}
    tools = TOOLS
    for name, value in values.items():
        tools = tools.replace(f"@{name}", value)
    for name, body in GRAPHS.items():
        service.add(f"agentflow: 1\ngraph: {name}\n{tools}{body}")
    for graph, text in REPLIES.items():
        service.replies(graph, text)
    service.start().register()
    yield service
    service.kill()


@pytest.fixture
def service(stand: Service, beyond: Outside) -> Iterator[Service]:
    if stand.special or not stand.alive():
        stand.restart()
    stand.forget()
    beyond.asked.clear()
    beyond.answers = charges
    for name in ("printed.jsonl", "desk.jsonl", "without"):
        (stand.folder / name).unlink(missing_ok=True)
    yield stand


def charges(asked: Asked) -> Answer:
    """What a well-behaved service says."""
    if asked.path.startswith("/charges/"):
        return Answer(json={"id": "c1", "more": True}) if asked.method == "POST" else Answer(204)
    if asked.path == "/rates":
        return Answer(json={"rate": 1.25})
    if asked.path == "/customers":
        return Answer(201, {"id": "c7"})
    return Answer(json={"id": "c7", "name": "Ada"})


def keys(beyond: Outside, method: str = "POST") -> list[str]:
    return [asked.headers.get("idempotency-key", "") for asked in beyond.asked if asked.method == method]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def refused(service: Service, graph: str, key: str, given: Any = None) -> Any:
    with pytest.raises(Refused) as caught:
        service.run(graph, key, given)
    return caught.value


# ---------------------------------------------------------------- requests


def test_a_request_is_one_step_that_is_tried_again_with_the_same_key(service: Service, beyond: Outside) -> None:
    left = [Answer(503), Answer(429, headers={"Retry-After": "0"})]
    beyond.answers = lambda asked: left.pop(0) if left else charges(asked)
    assert service.run("buy", "again", {"who": "Ada Ü", "fail": False}) == "c1"
    assert [asked.target for asked in beyond.asked] == ["/charges/Ada%20%C3%9C"] * 3
    assert len(set(keys(beyond))) == 1 and keys(beyond)[0].endswith(":paid")
    assert beyond.asked[0].json == {"amount": 5000}
    assert beyond.asked[0].headers["authorization"] == SECRET
    assert service.nothing_twice()


def test_a_kill_within_a_request_asks_again_with_the_same_key(service: Service, beyond: Outside) -> None:
    struck = threading.Event()

    def strike(asked: Asked) -> Answer:
        if not struck.is_set():
            struck.set()
            service.kill()
        return charges(asked)

    beyond.answers = strike
    service.send("buy", "killed", {"who": "ada", "fail": False})
    assert struck.wait(30)
    until(lambda: service.pid is None, 10)
    service.restart()
    assert service.result("buy", "killed") == "c1"
    assert len(keys(beyond)) == 2 and len(set(keys(beyond))) == 1  # once in effect, by its key
    assert service.names("act") == ["c1"]


def test_what_a_request_did_is_undone(service: Service, beyond: Outside) -> None:
    error = refused(service, "buy", "undone", {"who": "ada", "fail": True})
    assert error.status == 418
    gone = [asked for asked in beyond.asked if asked.method == "DELETE"]
    assert [asked.target for asked in gone] == ["/charges/c1"]
    assert gone[0].headers["idempotency-key"] == f"{keys(beyond)[0]}:undo"


def test_a_refusal_ends_the_run_with_the_services_code_and_without_its_secret(
    service: Service, beyond: Outside, engine: Engine
) -> None:
    beyond.answers = lambda asked: Answer(402, {"you": "sent", "this": asked.headers["authorization"]})
    error = refused(service, "buy", "refused", {"who": "ada", "fail": False})
    assert error.status == 402
    assert "<PAY_WORD>" in str(error)
    assert len(beyond.asked) == 1
    assert "secretly" not in json.dumps(service.status("buy", "refused"))
    kept = [path for folder in (engine.base, service.folder) for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"sesame-open-very-secretly" in path.read_bytes()]


def test_a_service_that_is_down_holds_the_run_until_it_is_back(service: Service, beyond: Outside) -> None:
    beyond.answers = lambda asked: Answer(503, {"why": "maintenance"})
    service.send("wait_long", "down")
    until(lambda: len(beyond.asked) > 4, 30, "a second attempt")
    beyond.answers = charges
    assert service.result("wait_long", "down") == {"id": "c7", "name": "Ada"}
    assert len(set(keys(beyond))) == 1


def test_the_operations_of_a_specification_are_tools(service: Service, beyond: Outside) -> None:
    assert service.run("customers", "two", {"name": "Ada"}) == "Ada"
    assert [(asked.method, asked.target) for asked in beyond.asked] == [
        ("POST", "/customers"),
        ("GET", "/customers/c7"),
    ]
    assert beyond.asked[0].json == {"name": "Ada"}
    assert beyond.asked[1].headers["authorization"] == SECRET


def test_an_agent_calls_requests_side_by_side_and_is_told_what_does_not_fit(service: Service, beyond: Outside) -> None:
    assert service.run("ask_clerk", "clerk") == "looked"
    assert sorted(asked.target for asked in beyond.asked) == ["/customers/c7", "/rates?day=monday"]
    assert service.nothing_twice()


# ---------------------------------------------------------------- commands


def test_a_command_is_one_step(service: Service) -> None:
    printed = service.run("printed", "one", {"name": "a b; $(x)"})
    assert printed["name"] == "a b; $(x)"
    assert printed["key"].endswith(":page")


def test_a_kill_within_a_command_ends_it_and_runs_it_again_with_the_same_key(service: Service) -> None:
    log = service.folder / "printed.jsonl"
    service.send("printed", "killed", {"name": "late"})
    until(lambda: lines(log), 30, "the command's start")
    service.kill()
    time.sleep(0.5)
    service.restart()
    assert service.result("printed", "killed")["name"] == "late"
    begun = [line for line in lines(log) if line["event"] == "begin"]
    done = [line for line in lines(log) if line["event"] == "done"]
    assert len(begun) == 2 and len({line["key"] for line in begun}) == 1
    assert [line["pid"] for line in done] == [begun[1]["pid"]]  # the first one ended with the service


def test_a_command_that_fails_is_tried_again_and_tells_no_secret(service: Service) -> None:
    invocation = service.send("printed", "wrong", {"name": "wrong"})
    log = service.folder / "printed.jsonl"
    until(lambda: len(lines(log)) >= 4, 40, "another attempt")

    def told() -> str:
        rows = service.engine.invocations(f"id = '{invocation}'")
        return str(rows[0].get("last_failure") or "") if rows else ""

    until(lambda: "bad paper" in told(), 20, "the failure")
    assert "ended with exit code 3: bad paper, said <PAY_WORD>" in told()
    service.engine.admin.kill(invocation) if hasattr(service.engine.admin, "kill") else service.cancel(invocation)


@pytest.mark.at("60s")
def test_a_cancel_ends_a_command_that_only_reads(service: Service) -> None:
    log = service.folder / "printed.jsonl"
    invocation = service.send("slow_print", "cancelled")
    pid = until(lambda: lines(log), 30, "the command's start")[0]["pid"]
    service.cancel(invocation)
    until(lambda: not _alive(pid), 20, "the command's end")
    until(lambda: not service.unfinished(), 20, "the run's end")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


# ---------------------------------------------------------------- MCP


@pytest.mark.parametrize(("tool", "value"), [("add", {"sum": 3}), ("look", "saw you as nobody")])
def test_a_node_calls_a_tool_of_a_server(service: Service, tool: str, value: Any) -> None:
    assert service.run("desk_nodes", tool, {"tool": tool}) == value


def test_an_error_of_a_tool_ends_the_node(service: Service) -> None:
    error = refused(service, "desk_nodes", "refuse", {"tool": "refuse"})
    assert error.status == 500
    assert "refuse: " in str(error)


def test_the_list_of_tools_is_pinned_in_the_run(service: Service) -> None:
    """The service is killed in a call, and the server loses a tool meanwhile that the model had been told of."""
    log = service.folder / "desk.jsonl"
    service.send("booking", "pinned")
    until(lambda: [line for line in lines(log) if line["tool"] == "begin"], 60, "the call")
    service.kill()
    (service.folder / "without").write_text("look\n")
    service.restart()
    assert service.result("booking", "pinned", timeout=90) == "booked"
    begun = [line["key"] for line in lines(log) if line["tool"] == "begin"]
    assert len(begun) == 2 and len(set(begun)) == 1
    lists = {name: times for (_, name), times in service.steps().items() if name.endswith("#list")}
    assert lists == {"answer.desk#list": 1}
    assert service.nothing_twice()


def test_a_model_is_told_of_arguments_that_do_not_fit_and_of_errors(service: Service) -> None:
    assert service.run("booking", "told", timeout=90) == "booked"
    assert [line["tool"] for line in lines(service.folder / "desk.jsonl")] == ["begin", "book"]  # add was not called
    names = [name for (_, name) in service.steps()]
    assert sorted(name for name in names if "desk_" in name) == ["answer.desk_book#3", "answer.desk_refuse#4"]


@pytest.mark.parametrize(("graph", "value"), [("far_away", "saw you as nobody"), ("ask_far", "seen")])
def test_a_server_that_is_down_holds_the_run_until_it_is_there(service: Service, graph: str, value: str) -> None:
    invocation = service.send(graph, "down")

    def tried() -> bool:
        return any(row.get("last_failure") for row in service.engine.invocations(f"id = '{invocation}'"))

    until(tried, 40, "a failure")
    server = subprocess.Popen([sys.executable, str(MCP_DESK), str(FAR)], stderr=subprocess.DEVNULL, preexec_fn=tied)
    try:
        assert service.result(graph, "down", timeout=90) == value
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
