"""`models:` and `agents:` of a graph."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agentflow.diagnostics import choices_help, quoted
from agentflow.providers import provider_of
from agentflow.spec.model import AgentSpec, ModelSpec
from agentflow.spec.names import bad_name, is_broken
from agentflow.spec.reader import Reader
from agentflow.spec.settings import GENERATE, read_generate, read_limits, read_price, read_retry, read_secret
from agentflow.spec.types import read_type_at
from agentflow.types import Json

AGENT_KEYS = ("instruction", "description", "model", "tools", "handoffs", "returns", "input", "limits", "generate")
DEFAULT = "default"
KEYS = ("model", "base_url", "api_key", "price", "retry", *GENERATE)


def read_models(reader: Reader) -> dict[str, ModelSpec]:
    found = {}
    for name, data in reader.entries("models").items():
        path = reader.at("models", name)
        if problem := bad_name(name, "a model", reserved=False):
            reader.error("bad-name", problem[0], path, key=True, help=problem[1])
        if isinstance(data, dict):
            found[name] = _model(Reader(reader.reading, path, data, f"the model {quoted(name)}"), name)
        else:
            if not isinstance(data, str):
                reader.reading.wrong(path, "the name of a model, or a mapping with one", data)
            model = data if isinstance(data, str) else ""
            check_model(reader, path, model or None)
            found[name] = ModelSpec(name, path, model, {}, None)
    return found


def _model(reader: Reader, name: str) -> ModelSpec:
    model = reader.string("model", "the name of a model") if reader.require("model") else None
    generate, retry, base_url = read_generate(reader), read_retry(reader), reader.string("base_url")
    check_model(reader, reader.at("model"), model, base_url=base_url)
    api_key, price = read_secret(reader, "api_key"), read_price(reader)
    if base_url is not None and not re.match(r"https?://[^\s/{}]+", base_url):
        reader.error("bad-url", f"{quoted(base_url)} is not an http or https address", reader.at("base_url"))
    reader.finish(known=KEYS)
    return ModelSpec(name, reader.path, model or "", generate, retry, base_url, api_key, price)


def check_model(
    reader: Reader,
    path: tuple[str | int, ...],
    model: str | None,
    entries: Mapping[str, object] = {},
    base_url: str | None = None,
) -> None:
    """A model that is named directly is one that somebody answers for."""
    if model is None or provider_of(model, base_url) is not None:
        return
    note = "neither in models nor gemini-*, claude-* or provider/model"
    help = choices_help(model, entries) or (
        "a model is gemini-..., claude-..., provider/model, or any other name with a base_url that answers for it"
    )
    reader.error("unknown-model", f"there is no model {quoted(model)}", path, note=note if entries else None, help=help)


def read_agents(reader: Reader, models: Mapping[str, ModelSpec]) -> dict[str, AgentSpec]:
    found = {}
    for name, data in reader.entries("agents").items():
        path = reader.at("agents", name)
        if problem := bad_name(name, "an agent"):
            reader.error("bad-name", problem[0], path, key=True, help=problem[1])
        help = "write {instruction: ...}" if isinstance(data, str) else None
        inner = reader.reading.reader(path, data, f"the agent {quoted(name)}", help)
        found[name] = _agent(
            inner or Reader(reader.reading, path, {"instruction": ""}, ""), name, models, inner is None
        )
    return found


def _agent(reader: Reader, name: str, models: Mapping[str, ModelSpec], broken: bool) -> AgentSpec:
    instruction = reader.text("instruction") if not broken and reader.require("instruction") else None
    spec = AgentSpec(
        name=name,
        path=reader.path,
        description=reader.text("description"),
        instruction=instruction or "",
        model=_agent_model(reader, models, broken),
        tools=reader.names("tools"),
        handoffs=reader.names("handoffs"),
        returns=read_type_at(reader, "returns"),
        input=read_type_at(reader, "input"),
        generate=_generate(reader),
        limits=read_limits(reader),
    )
    if not broken:
        reader.finish(known=AGENT_KEYS)
    return spec


def _agent_model(reader: Reader, models: Mapping[str, ModelSpec], broken: bool) -> str:
    if not reader.has("model"):
        if DEFAULT not in models and not broken:
            message = f"{reader.what} names no model, and models has no default"
            help = "give the agent a model, or models an entry default"
            reader.error("missing-key", message, reader.path, key=True, help=help)
        return DEFAULT
    model = reader.string("model", "the name of a model")
    if model is not None and model not in models:
        check_model(reader, reader.at("model"), model, models)
    return model or DEFAULT


def _generate(reader: Reader) -> Mapping[str, Json]:
    inner = reader.mapping("generate")
    if inner is None:
        return {}
    generate = read_generate(inner)
    inner.finish(known=GENERATE)
    return generate


def check_references(
    reader: Reader, agents: Mapping[str, AgentSpec], tools: Mapping[str, object], broken: frozenset[str]
) -> None:
    """The tools and the colleagues of each agent are there."""
    callable_names = {**tools, **agents}
    for agent in agents.values():
        data = reader.reading.source.data
        for key, names, known in (("tools", agent.tools, callable_names), ("handoffs", agent.handoffs, agents)):
            for name in names:
                place = (*agent.path, key, _index(data, agent, key, name))
                if name == agent.name and name not in tools:
                    what = "hand over to" if key == "handoffs" else "call"
                    reader.error("agent-calls-itself", f"the agent {quoted(name)} cannot {what} itself", place)
                elif name not in known and not is_broken(name, broken):
                    what = "tool or agent" if key == "tools" else "agent"
                    code = "unknown-tool" if key == "tools" else "unknown-agent"
                    note = "not in tools or agents" if key == "tools" else "not in agents"
                    help = choices_help(name, known)
                    reader.error(code, f"there is no {what} {quoted(name)}", place, note=note, help=help)


def _index(data: Json, agent: AgentSpec, key: str, name: str) -> int:
    for step in (*agent.path, key):
        data = data[step] if isinstance(data, dict) and isinstance(step, str) else None
    return data.index(name) if isinstance(data, list) else 0
