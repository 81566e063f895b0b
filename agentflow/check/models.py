"""That each model can be asked: its client is installed, knows its settings, and costs what a limit has to count."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.diagnostics import Diagnostic, Path, quoted
from agentflow.providers import CLAUDE, provider_of
from agentflow.spec.model import AgentSpec, GraphSpec, ModelSpec

_SAMPLING = ("temperature", "top_p", "top_k")


def check(graph: GraphSpec) -> Iterator[Diagnostic]:
    yield from _installed(graph)
    yield from _settings(graph)
    yield from _prices(graph)


def _models(graph: GraphSpec) -> Iterator[tuple[ModelSpec, Path]]:
    """Every model, and where it is named: in an entry, or directly by an agent."""
    for entry in graph.models.values():
        yield entry, (*entry.path, "model")
    for agent in graph.agents.values():
        if agent.model not in graph.models and provider_of(agent.model) is not None:
            yield ModelSpec(agent.model, agent.path, agent.model, {}, None), (*agent.path, "model")


def _installed(graph: GraphSpec) -> Iterator[Diagnostic]:
    for model, path in _models(graph):
        provider = provider_of(model.model, model.base_url)
        if provider is not None and not provider.installed:
            message = f"{quoted(model.model)} is asked through {provider.package}, which is not installed"
            yield graph.source.error("missing-extra", message, path, help=provider.install)


def _settings(graph: GraphSpec) -> Iterator[Diagnostic]:
    """What Claude has no setting for would be dropped in silence."""
    for model in graph.models.values():
        if provider_of(model.model, model.base_url) is CLAUDE:
            yield from _claude(graph, {name: (*model.path, name) for name in model.generate}, model)
    for agent in graph.agents.values():
        entry = graph.models.get(agent.model) or ModelSpec(agent.model, agent.path, agent.model, {}, None)
        if agent.generate and provider_of(entry.model, entry.base_url) is CLAUDE:
            places = {name: (*entry.path, name) for name in entry.generate}
            places |= {name: (*agent.path, "generate", name) for name in agent.generate}
            new = {name: path for name, path in places.items() if name in agent.generate}
            yield from _claude(graph, places, entry, new, agent)


def _claude(
    graph: GraphSpec,
    places: dict[str, Path],
    model: ModelSpec,
    new: dict[str, Path] | None = None,
    agent: AgentSpec | None = None,
) -> Iterator[Diagnostic]:
    """`new` are those of the settings that have not been looked at before."""
    told = places if new is None else new
    if "seed" in told:
        yield graph.source.error("unsupported-setting", "Claude has no seed", told["seed"], key=True)
    budget = {**model.generate, **(agent.generate if agent is not None else {})}.get("thinking_budget")
    if budget in (None, 0):
        return
    for name in _SAMPLING:
        if name in places and (name in told or "thinking_budget" in told):
            guilty, other = (name, "thinking_budget") if name in told else ("thinking_budget", name)
            message = f"Claude takes no {name} while it thinks"
            related = ((graph.source.key_span(places[other]), "this does not go with it"),)
            yield graph.source.error("unsupported-setting", message, places[guilty], key=True, related=related)


def _prices(graph: GraphSpec) -> Iterator[Diagnostic]:
    """A limit on cost counts every model that it reaches: the graph's all of them, an agent's those of its turn."""
    told: set[Path] = set()
    limits: list[tuple[Path, list[AgentSpec]]] = []
    if graph.limits.cost is not None:
        limits.append((("limits",), list(graph.agents.values())))
    for agent in graph.agents.values():
        if agent.limits.cost is not None:
            limits.append(((*agent.path, "limits"), list(_works_for(graph, agent))))
    for path, agents in limits:
        for agent in agents:
            entry = graph.models.get(agent.model)
            place = entry.path if entry is not None else (*agent.path, "model")
            if (entry is not None and entry.price is not None) or place in told or not _known(graph, agent):
                continue
            told.add(place)
            message = f"the model {quoted(agent.model)} has no price, and a limit on cost counts it"
            related = ((graph.source.key_span((*path, "cost")), "by this limit"),)
            help = "write {model: ..., price: {input: 0.3, output: 2.5}}, per million tokens"
            if entry is None:
                help = f"give {quoted(agent.model)} an entry in models, with a price"
            yield graph.source.error("missing-price", message, place, key=True, related=related, help=help)


def _known(graph: GraphSpec, agent: AgentSpec) -> bool:
    return agent.model in graph.models or provider_of(agent.model) is not None


def _works_for(graph: GraphSpec, agent: AgentSpec) -> Iterator[AgentSpec]:
    """The agent, those that it calls as tools, and those that they call or hand over to."""
    found = {agent.name: agent}
    left = [name for name in agent.tools if name in graph.agents]
    while left:
        name = left.pop()
        if name in graph.agents and name not in found:
            found[name] = graph.agents[name]
            left += [*found[name].tools, *found[name].handoffs]
    yield from found.values()
