"""HTTP tools against a real server: what is sent, what an answer means, and where none is asked."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentflow import runtime as af
from agentflow.runtime import network, steps
from agentflow.runtime.errors import NodeError, ToolUnavailable
from agentflow.runtime.operations import Operation
from agentflow.runtime.schema import Mismatch
from agentflow.runtime.secrets import mask
from tests.runtime.outside import Answer, Outside, outside


class Charge(af.Type):
    id: str
    note: str | None = None


class Args(af.Type):
    id: str
    amount: af.Number | None = None
    tags: list[str] | None = None
    note: str = af.Field(default="none")


@pytest.fixture
def server() -> Iterator[Outside]:
    with outside() as one:
        yield one


def call(operation: Operation, key: str = "run:pay", **args: Any) -> Any:
    return asyncio.run(operation.call(operation.parameters.check(args), key))


def http(server: Outside, request: str, **more: Any) -> Operation:
    method, _, path = request.partition(" ")
    return af.http(f"{method} {server.url}{path}", hosts=server.hosts, **more)


def refused(operation: Operation, **args: Any) -> NodeError:
    with pytest.raises(NodeError) as caught:
        call(operation, **args)
    return caught.value


def unavailable(operation: Operation, **args: Any) -> ToolUnavailable:
    with pytest.raises(ToolUnavailable) as caught:
        call(operation, **args)
    return caught.value


# ---------------------------------------------------------------- what is sent


def test_what_the_path_does_not_take_becomes_a_query(server: Outside) -> None:
    call(http(server, "GET /a/{id}/b?kind=x", args=Args), id="1/2 ü?&", amount=5, tags=["a b", "c&d"], note="é")
    asked = server.asked[0]
    assert asked.target.startswith("/a/1%2F2%20%C3%BC%3F%26/b?")
    assert asked.query == [("kind", "x"), ("amount", "5"), ("tags", "a b"), ("tags", "c&d"), ("note", "é")]
    assert asked.body == b""


def test_what_is_not_given_is_not_sent_and_a_default_is(server: Outside) -> None:
    call(http(server, "DELETE /a/{id}", args=Args), id="1", amount=None)
    call(http(server, "POST /a/{id}", args=Args), id="1")
    assert server.asked[0].query == [("note", "none")]
    assert server.asked[1].json == {"note": "none"}


def test_what_is_not_given_within_an_argument_is_not_sent_either(server: Outside) -> None:
    class Order(af.Type):
        charges: list[Charge]
        first: Charge | None = None

    call(http(server, "POST /a", args=Order), charges=[{"id": "1"}, {"id": "2", "note": None}])
    assert server.asked[0].json == {"charges": [{"id": "1"}, {"id": "2", "note": None}]}


def test_a_number_in_a_body_stays_as_it_was_given(server: Outside) -> None:
    call(http(server, "POST /a", args=Args), id="1", amount=5000, tags=[])
    assert server.asked[0].body == b'{"id":"1","amount":5000,"tags":[],"note":"none"}'
    assert server.asked[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("value", ["..", ".", ""])
def test_a_path_cannot_be_left_by_an_argument(server: Outside, value: str) -> None:
    error = refused(http(server, "GET /a/{id}/b", args=Args), id=value)
    assert (error.code, error.told) == (400, True)
    assert not server.asked


def test_headers_and_body_see_the_arguments_and_the_key_of_the_call(server: Outside) -> None:
    tool = http(
        server,
        "POST /a/{id}",
        args=Args,
        headers={
            "Idempotency-Key": "{{ idempotency_key }}",
            "X-Amount": "{{ args.amount }}",
            "X-None": "{{ args.tags }}",
        },
        body={"amount": "{{ args.amount }}", "memo": "for {{ args.id }}", "tags": "{{ args.tags }}"},
    )
    call(tool, id="7", amount=3)
    asked = server.asked[0]
    assert asked.headers["idempotency-key"] == "run:pay"
    assert asked.headers["x-amount"] == "3"
    assert "x-none" not in asked.headers
    assert asked.json == {"amount": 3, "memo": "for 7", "tags": None}


def test_a_header_is_one_line(server: Outside) -> None:
    error = refused(http(server, "GET /a", args=Args, headers={"X-Note": "{{ args.note }}"}), id="1", note="a\r\nX: b")
    assert (error.code, error.told) == (400, True)
    assert not server.asked


def test_a_form_is_sent_where_the_author_says_so(server: Outside) -> None:
    headers: dict[str, Any] = {"Content-Type": "application/x-www-form-urlencoded"}
    call(http(server, "POST /a", args=Args, headers=headers, body={"q": "{{ args.id }}", "n": 2}), id="a b&c")
    assert server.asked[0].body == b"q=a+b%26c&n=2"


def test_a_text_is_sent_as_text(server: Outside) -> None:
    call(http(server, "PUT /a", args=Args, body="hello {{ args.id }}"), id="ü")
    assert server.asked[0].body == "hello ü".encode()
    assert server.asked[0].headers["content-type"] == "text/plain; charset=utf-8"


def test_wrong_arguments_are_not_sent(server: Outside) -> None:
    with pytest.raises(Mismatch, match=r"at \$\.id: missing"):
        call(http(server, "GET /a", args=Args))
    with pytest.raises(Mismatch, match=r"at \$\.more: there is no such field"):
        call(http(server, "GET /a"), more=1)
    assert not server.asked


def test_an_operation_sends_each_argument_to_its_place(server: Outside) -> None:
    class Where(af.Type):
        id: str
        expand: list[str] | None = None
        ids: list[int] | None = None
        X_Trace_: str | None = af.Field(default=None, alias="X-Trace")
        session: str | None = None
        name: str

    api = af.Api(server.url, headers={"X-All": "{{ args.name }}"}, hosts=server.hosts)
    tool = api.operation(
        "POST /c/{id}", args=Where, query=["expand", "ids"], header=["X-Trace"], cookie=["session"], joined=["ids"]
    )
    given: dict[str, Any] = {
        "id": "1",
        "expand": ["a", "b"],
        "ids": [1, 2],
        "X-Trace": "t",
        "session": "s p",
        "name": "Ada",
    }
    call(tool, **given)
    asked = server.asked[0]
    assert asked.query == [("expand", "a"), ("expand", "b"), ("ids", "1,2")]
    assert (asked.headers["x-trace"], asked.headers["cookie"]) == ("t", "session=s%20p")
    assert asked.headers["x-all"] == "Ada"
    assert asked.json == {"name": "Ada"}


def test_an_address_may_be_a_secret(server: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", f"{server.url}/v2/")
    api = af.Api(af.Env("SHOP_URL"), hosts=server.hosts)
    call(api.operation("GET /orders"))
    assert server.asked[0].target == "/v2/orders"
    server.says(Answer(404))
    with pytest.raises(NodeError) as caught:
        call(api.operation("GET /orders"))
    assert caught.value.code == 404
    assert "answered 404" in mask(caught.value.message)
    assert server.url not in mask(caught.value.message)


# ---------------------------------------------------------------- what an answer means


def test_an_answer_is_held_to_what_is_expected_and_more_is_left_out(server: Outside) -> None:
    server.says(Answer(json={"id": "c1", "more": 1}))
    assert call(http(server, "GET /a", returns=Charge)) == {"id": "c1", "note": None}


def test_an_answer_that_does_not_fit_may_have_taken_effect(server: Outside) -> None:
    server.says(Answer(json={"id": 1}))
    error = refused(http(server, "POST /a", returns=Charge))
    assert "at $.id: input should be a valid string, not 1" in error.message
    assert (error.unknown, error.told) == (True, False)


@pytest.mark.parametrize(
    ("answer", "returns", "value"),
    [
        (Answer(json=[1, 2]), None, [1, 2]),
        (Answer(body=b"plain", headers={"Content-Type": "text/plain"}), None, "plain"),
        (Answer(body=b"plain", headers={"Content-Type": "text/plain"}), str, "plain"),
        (Answer(json="quoted"), str, "quoted"),
        (Answer(json={"a": 1}), str, '{"a": 1}'),
        (Answer(status=204), None, None),
        (Answer(body=b"[1]", headers={"Content-Type": "application/hal+json; charset=utf-8"}), None, [1]),
        (Answer(body="ü".encode("latin-1"), headers={"Content-Type": "text/plain; charset=latin-1"}), None, "ü"),
        (Answer(body=gzip.compress(b"[1]"), headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}),
         None, [1]),
    ],
)  # fmt: skip
def test_an_answer_is_text_or_json(server: Outside, answer: Answer, returns: Any, value: Any) -> None:
    server.says(answer)
    assert call(http(server, "GET /a", returns=returns)) == value


@pytest.mark.parametrize("body", [b"{", b"[NaN]", b"\xff", b"[" * 100_000])
def test_what_is_no_json_ends_the_node(server: Outside, body: bytes) -> None:
    server.says(Answer(body=body, headers={"Content-Type": "application/json"}))
    assert refused(http(server, "GET /a")).unknown


@pytest.mark.parametrize(("status", "code"), [(400, 400), (402, 402), (404, 404), (409, 500), (418, 418), (304, 502)])
def test_a_refusal_ends_the_node_with_the_services_own_code(server: Outside, status: int, code: int) -> None:
    server.says(Answer(status, {"why": "no money"}))
    error = refused(http(server, "POST /a"))
    assert error.code == code
    assert f"answered {status}" in error.message
    assert not error.unknown


@pytest.mark.parametrize(("status", "unknown"), [(408, False), (429, False), (500, True), (503, True), (504, True)])
def test_what_may_pass_is_worth_another_try(server: Outside, status: int, unknown: bool) -> None:
    server.says(Answer(status, {"why": "busy"}))
    error = unavailable(http(server, "POST /a"))
    assert (error.code, error.unknown, error.retry_after) == (status, unknown, None)
    assert '{"why": "busy"}' in error.message


def test_the_service_says_when_to_come_again(server: Outside) -> None:
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    given = ["7", later, "soon", "-3", "9999999"]
    found = []
    for value in given:
        server.says(Answer(429, headers={"Retry-After": value}))
        found.append(unavailable(http(server, "GET /a")).retry_after)
    assert found[0] == 7
    assert found[1] is not None and 90 < found[1] <= 100
    assert found[2:] == [None, None, 3600]


def test_a_redirect_is_followed_only_to_where_the_request_went(server: Outside) -> None:
    with outside() as other:
        server.says(Answer(302, headers={"Location": f"{other.url}/stolen?x=1"}))
        error = refused(http(server, "GET /a", headers={"Authorization": "Bearer abc"}))
        assert "a redirect to http://127.0.0.1" in error.message
        assert "which is not followed" in error.message
        assert error.code == 502
        assert not other.asked


def test_a_redirect_within_the_server_is_followed(server: Outside) -> None:
    server.says(Answer(301, headers={"Location": "/b"}), Answer(json=1))
    assert call(http(server, "GET /a")) == 1
    server.says(Answer(307, headers={"Location": "/b"}), Answer(json=2))
    assert call(http(server, "POST /a", args=Args), id="1") == 2
    assert server.asked[-1].json == {"id": "1", "note": "none"}
    server.says(Answer(303, headers={"Location": "/c"}), Answer(json=3))
    assert call(http(server, "POST /a", args=Args), id="1") == 3
    assert (server.asked[-1].method, server.asked[-1].body) == ("GET", b"")


def test_a_redirect_that_would_change_the_method_is_not_followed(server: Outside) -> None:
    server.says(Answer(302, headers={"Location": "/b"}))
    assert "which a POST is not sent after" in refused(http(server, "POST /a")).message


def test_redirects_end(server: Outside) -> None:
    server.says(Answer(302, headers={"Location": "/a"}))
    assert "redirected 5 times" in refused(http(server, "GET /a")).message


def test_an_answer_is_bounded_also_once_it_is_unpacked(server: Outside) -> None:
    server.says(Answer(body=b" " * (4 * 1024 * 1024 + 1), headers={"Content-Type": "text/plain"}))
    assert "larger than 4194304 bytes" in refused(http(server, "GET /a")).message
    packed = gzip.compress(b"1" * (5 * 1024 * 1024))
    server.says(Answer(body=packed, headers={"Content-Type": "text/plain", "Content-Encoding": "gzip"}))
    assert "larger than 4194304 bytes" in refused(http(server, "GET /a")).message


def test_a_connection_that_breaks_may_have_taken_effect() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]

        async def scenario() -> None:
            loop = asyncio.get_running_loop()
            listening.setblocking(False)

            async def close() -> None:
                connection, _ = await loop.sock_accept(listening)
                await loop.sock_recv(connection, 100)
                connection.close()

            closing = asyncio.ensure_future(close())
            tool = af.http(f"POST http://127.0.0.1:{port}/a", hosts=[f"127.0.0.1:{port}"])
            with pytest.raises(ToolUnavailable) as caught:
                await tool.call({}, "k")
            assert caught.value.unknown
            await closing

        asyncio.run(scenario())
    nobody = af.http(f"POST http://127.0.0.1:{port}/a", hosts=[f"127.0.0.1:{port}"])
    assert not unavailable(nobody).unknown


# ---------------------------------------------------------------- whom nobody asks


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.0.192", "168.63.129.16",
        "::1", "::", "fe80::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "ff02::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_open(address: str) -> None:
    assert not network.is_open(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"])
def test_an_address_that_is_open(address: str) -> None:
    assert network.is_open(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]"])
def test_a_host_that_the_project_does_not_allow_is_not_asked(server: Outside, host: str) -> None:
    error = refused(af.http(f"GET http://{host}:{server.port}/a"))
    assert error.code == 403
    assert "is not of the open internet, and pyproject.toml does not allow it" in error.message
    assert not server.asked


def test_another_port_of_an_allowed_host_is_not_allowed(server: Outside) -> None:
    error = refused(af.http(f"GET {server.url}/a", hosts=[f"127.0.0.1:{server.port + 1}"]))
    assert error.code == 403


def test_the_address_that_was_looked_at_is_the_one_that_is_asked(
    server: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that means another address at every look is asked at the one that was judged."""
    looked: list[str] = []
    answers = ["93.184.216.34", "127.0.0.1", "127.0.0.1"]

    async def getaddrinfo(self: Any, host: Any, port: Any, **more: Any) -> Any:
        if isinstance(host, bytes):
            host = host.decode()
        try:
            ipaddress.ip_address(host)
            address = host
        except ValueError:
            looked.append(host)
            address = answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(network, "CONNECT", 0.3)
    error = unavailable(af.http(f"GET http://rebind.example.com:{server.port}/a"))
    assert looked == ["rebind.example.com"]
    assert error.code in (502, 504)
    assert not server.asked
    assert refused(af.http(f"GET http://rebind.example.com:{server.port}/a")).code == 403
    assert not server.asked


def test_a_name_that_means_an_inner_address_among_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(self: Any, host: Any, port: Any, **more: Any) -> Any:
        found = ["93.184.216.34", "10.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    assert "(10.0.0.1)" in refused(af.http("GET http://mixed.example.com/a")).message


def test_the_host_is_told_by_its_name(server: Outside) -> None:
    call(af.http(f"GET http://localhost:{server.port}/a", hosts=["localhost"]))
    assert server.asked[0].headers["host"] == f"localhost:{server.port}"


def test_proxies_of_the_environment_are_not_asked(server: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    with outside() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        call(http(server, "GET /a"))
        assert not proxy.asked


def test_a_certificate_is_of_the_name_and_known(tmp_path: Path) -> None:
    import ssl
    import subprocess

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        capture_output=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    known = ssl.create_default_context(cafile=str(certificate))

    async def scenario() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Type: application/json\r\n\r\n1")
            await writer.drain()
            writer.close()

        listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        port = listening.sockets[0].getsockname()[1]
        named = af.http(f"GET https://localhost:{port}/", hosts=["localhost"])
        with pytest.raises(ToolUnavailable, match="(?i)certificate"):
            await named.call({}, "k")
        original, network._certificates = network._certificates, lambda: known  # type: ignore[assignment]
        try:
            assert await named.call({}, "k") == 1
            with pytest.raises(ToolUnavailable, match="(?i)certificate"):
                await af.http(f"GET https://127.0.0.1:{port}/", hosts=["127.0.0.1"]).call({}, "k")
        finally:
            network._certificates = original
            listening.close()

    asyncio.run(scenario())


# ---------------------------------------------------------------- secrets


def test_a_secret_is_sent_and_never_told(server: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAY", 'Bearer xk"9-verysecret')
    tool = http(server, "POST /a", headers={"Authorization": af.Env("PAY")})
    server.answers = lambda asked: Answer(402, {"you sent": asked.headers["authorization"]})
    error = refused(tool)
    assert "verysecret" not in error.message
    assert "<PAY>" in error.message
    server.answers = lambda asked: Answer(json={"sent": [asked.headers["authorization"], 'token xk"9-verysecret']})
    assert call(tool) == {"sent": ["<PAY>", "token <PAY>"]}
    assert server.asked[0].headers["authorization"] == 'Bearer xk"9-verysecret'


def test_a_secret_that_is_missing_is_named_and_may_come(server: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    tool = http(server, "POST /a", headers={"Authorization": af.Env("NOT_THERE")})
    error = unavailable(tool)
    assert error.message == "NOT_THERE is not set in the environment (the header Authorization)"
    assert not error.unknown
    monkeypatch.setenv("NOT_THERE", "here now")
    assert call(tool) == {"ok": True}


def test_secrets_are_masked_whatever_they_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAIN_NAME", "sesame")
    monkeypatch.setenv("SOME_TOKEN", "abcdefgh")
    af.Env("PLAIN_NAME")
    assert mask("open sesame, abcdefgh") == "open <PLAIN_NAME>, <SOME_TOKEN>"


# ---------------------------------------------------------------- the durable step around it


def step(tool: af.Tool, retry: af.Retry | None = None, **args: Any) -> Any:
    async def scenario() -> steps.Outcome:
        return await steps.tool_step(tool, args, "key", retry or tool.retry, steps.Stop(may_have_run=False))

    return asyncio.run(scenario())


def test_a_step_tries_again_and_honours_what_the_service_asks_for(server: Outside) -> None:
    server.says(Answer(503), Answer(429, headers={"Retry-After": "0"}), Answer(json={"id": "c"}))
    tool = af.Tool("pay", http(server, "POST /a", returns=Charge), retry=af.Retry(attempts=5, initial="10ms"))
    outcome = step(tool)
    assert (outcome["value"], outcome["tries"]) == ({"id": "c", "note": None}, 3)
    assert len(server.asked) == 3


def test_a_step_that_fails_for_good_has_the_services_code(server: Outside) -> None:
    server.says(Answer(503, {"why": "maintenance"}))
    failed = step(af.Tool("pay", http(server, "POST /a"), retry=af.Retry(attempts=2, initial="10ms")))["failed"]
    assert (failed["kind"], failed["code"], failed["unknown"]) == ("tool", 503, True)
    assert failed["message"].startswith("pay failed after 2 tries: POST http://127.0.0.1")


def test_a_try_that_may_have_taken_effect_is_not_forgotten(server: Outside) -> None:
    server.says(Answer(500), Answer(400))
    failed = step(af.Tool("pay", http(server, "POST /a"), retry=af.Retry(attempts=3, initial="10ms")))["failed"]
    assert (failed["code"], failed["unknown"]) == (400, True)


def test_a_step_without_attempts_goes_on_in_the_engine(server: Outside) -> None:
    server.says(Answer(503))
    with pytest.raises(steps.StepUnavailable, match="answered 503"):
        step(af.Tool("pay", http(server, "POST /a")))


def test_a_service_that_does_not_answer_is_left_in_time(server: Outside) -> None:
    def late(asked: Any) -> Answer:
        time.sleep(1)
        return Answer()

    server.answers = late
    tool = af.Tool("pay", http(server, "POST /a"), timeout="100ms", retry=af.Retry(attempts=1))
    failed = step(tool)["failed"]
    assert (failed["kind"], failed["code"], failed["unknown"]) == ("timeout", 504, True)
