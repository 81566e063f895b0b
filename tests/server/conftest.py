"""The stand: an engine at inactivity 0 (it suspends at every wait, so all is replayed), and one at one minute.

A test module says what it needs: GRAPHS, the texts or files of its graphs, REPLIES, the texts of their offline replies
by graph, and ENVIRONMENT. Tools are the desk's and the examples'. The graphs are compiled and served by one process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import DESK, EXAMPLES, Engine, Service, Zygote  # noqa: E402 - found by the line above


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "at(inactivity): only there. At 0 the engine stops talking to an invocation at once, so that what is in flight"
        " is heard of only when all of it has ended: nothing can be said about times",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def elsewhere(item: pytest.Item) -> bool:
        marker = item.get_closest_marker("at")
        callspec = getattr(item, "callspec", None)
        return marker is not None and callspec is not None and callspec.params.get("engine") != marker.args[0]

    config.hook.pytest_deselected(items=[item for item in items if elsewhere(item)])
    items[:] = [item for item in items if not elsewhere(item)]


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.stop()


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    """Those that run, by inactivity: each is started when it is first needed."""
    engines: dict[str, Engine] = {}
    yield engines
    for engine in engines.values():
        engine.stop()


@pytest.fixture(scope="module", params=["0s", "60s"])
def engine(
    request: pytest.FixtureRequest, engines: dict[str, Engine], tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    inactivity: str = request.param
    if inactivity not in engines:
        engines[inactivity] = Engine(tmp_path_factory.mktemp("engine"), inactivity)
    return engines[inactivity]


@pytest.fixture(scope="module")
def stand(
    engine: Engine, zygote: Zygote, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    service = Service(
        engine,
        zygote,
        tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2]),
        dict(getattr(request.module, "ENVIRONMENT", {})),
        tools=(EXAMPLES, DESK),
    )
    replies = getattr(request.module, "REPLIES", {})
    for source in request.module.GRAPHS:
        service.add(source)
    for graph, text in replies.items():
        service.replies(graph, text)
    service.start().register()
    yield service
    service.kill()
    assert "still attempting to make progress" not in service.log.read_text(), "an attempt went on once suspended"


@pytest.fixture
def service(stand: Service) -> Iterator[Service]:
    """The module's service, as if it had done nothing yet."""
    for left in stand.unfinished():  # what a test before it left; one that failed fails no other
        stand.engine.admin.kill(left["id"])
    if stand.special or not stand.alive():
        stand.restart()
    stand.forget()
    yield stand
    stand.control()
