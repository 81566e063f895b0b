"""Waiting costs nothing: a thousand runs that wait are suspended, and the service does not grow with them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from harness import Service, graph, until

GRAPHS = [
    graph(
        "patient",
        """
nodes:
  before: {tool: work, with: {name: before}}
  sign: {approval: Go on?, approvers: [ada], needs: [before], timeout: 24h, on_timeout: reject}
  after: {tool: work, with: {name: after}, needs: [sign]}
output: "{{ after }}"
""",
    )
]
RUNS = 500


def waiting(service: Service) -> int:
    rows = service.engine.invocations("status = 'suspended' and target_service_name = 'patient'")
    return len(rows)


def start(service: Service, prefix: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: service.send("patient", f"{prefix}{n}"), range(RUNS)))


def test_a_thousand_waiting_runs_leave_nothing_in_the_service(service: Service) -> None:
    """At one minute of inactivity a run is suspended after a minute: there, only that they wait and go on."""
    suspends = service.engine.inactivity == "0s"
    start(service, "a")
    until(lambda: len(service.gates("patient")) == RUNS, 120, "the gates")
    if suspends:
        until(lambda: waiting(service) == RUNS, 60, "that all are suspended")
        first = service.memory()
        start(service, "b")
        until(lambda: len(service.gates("patient")) == 2 * RUNS, 240, "the gates")
        until(lambda: waiting(service) == 2 * RUNS, 60, "that all are suspended")
        grown = service.memory() - first
        assert grown < 8 * 1024 * 1024, f"{grown} bytes more for as many more runs that wait"
    run = service.send("patient", "new")
    service.gate("patient", "new/sign")
    service.decide("patient", "new/sign", "approve").checked()
    assert service.attach(run) == "did after"
    service.restart()
    for number in (0, 50, 499):
        service.decide("patient", f"a{number}/sign", "approve").checked()
        assert service.result("patient", f"a{number}") == "did after"
    assert service.names().count("after") == 4
