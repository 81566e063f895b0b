"""What is sent at the door: it fits, or it is refused with 400 and the place; a key counts once."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Answer, path, request

GRAPHS = [
    graph(
        "door",
        """
input:
  name: string
  amount: {type: number, minimum: 0}
  tags: {type: [string], optional: true}
  where: {type: {city: string, kind: home | work}, optional: true}
nodes:
  one: {tool: act, with: {name: "{{ input.name }}"}}
output: "{{ one.id }} {{ input.amount }}"
""",
    ),
    graph(
        "door_service",
        "kind: service\ninput: {n: integer}\nnodes:\n  one: {tool: count, with: {number: '{{ input.n }}'}}",
    ),
    graph("door_nothing", "nodes:\n  one: {value: fine}"),
]
GOOD: dict[str, Any] = {"name": "Ada", "amount": 5000}


def post(service: Service, key: str, body: object, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else None
    return request("POST", service.engine.ingress + path("door", key, "run"), data or body, headers)  # type: ignore[arg-type]


WRONG = {
    "a field is missing": ({"name": "Ada"}, "$.amount"),
    "a field is too much": ({**GOOD, "extra": 1}, "$.extra"),
    "a field has the wrong type": ({**GOOD, "name": 5}, "$.name"),
    "a number is a text": ({**GOOD, "amount": "5"}, "$.amount"),
    "a number is a boolean": ({**GOOD, "amount": True}, "$.amount"),
    "a number is too small": ({**GOOD, "amount": -1}, "$.amount"),
    "deep within a list": ({**GOOD, "tags": ["a", 7]}, "$.tags[1]"),
    "deep within an object": ({**GOOD, "where": {"city": "Ulm", "kind": "moon"}}, "$.where.kind"),
    "it is a list": ([], "$"),
    "it is null": (b"null", "$"),
    "it is not JSON": (b'{"name": ', "JSON"),
    "it is not UTF-8": (b'{"name": "\xff"}', ""),
    "it has NaN": (b'{"name": "Ada", "amount": NaN}', ""),
    "it is deep": (b"[" * 100_000, ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_input_that_does_not_fit_is_refused_with_the_place_and_without_a_second_try(
    service: Service, what: str
) -> None:
    body, place = WRONG[what]
    answer = post(service, what.replace(" ", "-"), body)
    assert answer.status == 400, answer.body
    message = answer.refusal().message
    assert message.startswith("the input does not fit: ") and place in message
    assert len(message) < 500
    assert service.names() == [] and not service.unfinished()


def test_numbers_stay_as_they_were_given(service: Service) -> None:
    assert service.run("door", "int", {"name": "a", "amount": 5000}) == "a 5000"
    assert service.run("door", "float", {"name": "a", "amount": 0.5}) == "a 0.5"
    assert service.run("door", "big", {"name": "a", "amount": 12345678901234567890}) == "a 12345678901234567890"


def test_hostile_text_passes_unharmed(service: Service) -> None:
    for number, text in enumerate(['"', "\\", "\r\n", "{{ input }}", "{% if %}", "\u2028 é 😀", "' or 1=1", "\x00"]):
        output = service.run("door", f"hostile{number}", {"name": text, "amount": 1})
        assert output == f"{text} 1"


def test_a_key_counts_once(service: Service) -> None:
    assert service.run("door", "again", GOOD) == "Ada 5000"
    second = post(service, "again", GOOD)
    assert second.status == 409 or second.json() == "Ada 5000"
    assert service.names() == ["Ada"]
    assert service.result("door", "again") == "Ada 5000"
    answer = request("POST", service.engine.ingress + path("door", "again", "run", "send"), GOOD).json()
    assert isinstance(answer, dict) and answer["status"] == "PreviouslyAccepted"


def test_an_input_that_is_too_large_is_refused_and_nothing_is_tried_for_ever(service: Service) -> None:
    answer = post(service, "large", {"name": "x" * (40 * 1024 * 1024), "amount": 1})
    assert 400 <= answer.status < 500
    assert service.names() == []
    until(lambda: not service.unfinished(), 20, "the end")


def test_a_service_refuses_likewise_and_honours_an_idempotency_key(service: Service) -> None:
    url = service.engine.ingress + path("door_service", "run")
    assert request("POST", url, {"n": "x"}).status == 400
    for _ in range(2):
        assert request("POST", url, {"n": 1}, {"idempotency-key": f"k{service.engine.inactivity}"}).json() == 2
    assert service.names() == ["1"]


def test_a_graph_without_input_takes_nothing_and_an_empty_object(service: Service) -> None:
    url = service.engine.ingress
    assert request("POST", url + path("door_nothing", "a", "run")).json() == "fine"
    assert request("POST", url + path("door_nothing", "b", "run"), {}).json() == "fine"
    assert request("POST", url + path("door_nothing", "c", "run"), {"a": 1}).status == 400


def test_private_handlers_are_not_to_be_called_from_outside(service: Service) -> None:
    assert 400 <= service.call("door.approvals", "x", "ask", {}).status < 500


def test_the_status_of_a_key_that_was_never_used_is_404(service: Service) -> None:
    assert service.call("door", "never", "status").status == 404
