"""Tools that are one HTTP request: written out in the graph, or an operation of an OpenAPI specification.

A generated module says `af.http("POST https://api.example.com/charges/{id}", args=...)`, or
`CRM.operation("GET /customers/{id}", ...)` of an `af.Api`. Both become a `Call`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote, urlencode

from agentflow.runtime import requests, templates
from agentflow.runtime.arguments import Arguments
from agentflow.runtime.errors import NodeError, TemplateError
from agentflow.runtime.operations import Operation
from agentflow.runtime.secrets import Env, resolved
from agentflow.types import Json

_PLACEHOLDER = re.compile(r"\{(\w[\w.-]*)\}")
_WITH_QUERY = ("GET", "DELETE")

Headers = Mapping[str, "str | Env"]


class Missing:
    """No body is given: it is made of the arguments."""


MISSING = Missing()


@dataclass(frozen=True, eq=False)
class Call(Operation):
    """One request. What no other place takes of the arguments goes into the query or the body.

    `query`, `header`, `cookie` name the arguments that go there, by what they are called there; `joined` those whose
    lists are one value with commas; `fields` those that are the fields of the body, `whole` the one that is all of it.
    None: by the method, as `af.http` does it.
    """

    method: str
    base: str | Env
    path: str
    args: Any = None
    headers: Headers = field(default_factory=dict)
    body: Json | Missing = MISSING
    returns: Any = None
    hosts: tuple[str, ...] = ()
    query: tuple[str, ...] | None = None
    header: tuple[str, ...] = ()
    cookie: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    whole: str | None = None
    media: Literal["json", "form", "text"] = "json"

    @cached_property
    def parameters(self) -> Arguments:
        base = "" if isinstance(self.base, Env) else self.base
        return Arguments(self.args, f"{self.method} {base}{self.path}")

    async def call(self, args: Mapping[str, Json], key: str) -> Json:
        return await requests.exchange(self.request(args, key), self.hosts, self.returns)

    def request(self, args: Mapping[str, Json], key: str) -> requests.Request:
        """The request that a call makes. Raises NodeError where the arguments cannot be sent."""
        scope = self.parameters.scope(args, key)
        taken: set[str] = set()

        def fill(match: re.Match[str]) -> str:
            taken.add(match[1])
            return requests.encoded(args.get(match[1]), match[1])

        path = _PLACEHOLDER.sub(fill, self.path)
        headers = dict(self._headers(args, scope))
        rest = {name: value for name, value in args.items() if name not in {*taken, *self.header, *self.cookie}}
        in_query = self._in_query(rest)
        content = self._content({name: v for name, v in rest.items() if name not in in_query}, scope, headers)
        query = tuple(self._query(in_query))
        base = resolved(self.base, "its address").rstrip("/")
        return requests.Request(self.method, f"{base}{path}", headers, query, content)

    def _headers(self, args: Mapping[str, Json], scope: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
        for name in self.header:
            if args.get(name) is not None:
                yield name, requests.header(_simple(args[name]), name)
        cookies = [(name, _simple(args[name])) for name in self.cookie if args.get(name) is not None]
        if cookies:
            pairs = (f"{name}={quote(requests.shown(value, name), safe='')}" for name, value in cookies)
            yield "Cookie", "; ".join(pairs)
        for name, given in self.headers.items():
            value = given.read(f"the header {name}") if isinstance(given, Env) else evaluated(given, scope)
            if value is not None:
                yield name, requests.header(value, name)

    def _in_query(self, rest: Mapping[str, Json]) -> dict[str, Json]:
        if self.query is not None:
            return {name: rest[name] for name in self.query if name in rest}
        return dict(rest) if self.method in _WITH_QUERY and isinstance(self.body, Missing) else {}

    def _query(self, values: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            if isinstance(value, list) and name not in self.joined:
                yield from ((name, _text(item, name)) for item in value if item is not None)
            elif value is not None:
                yield name, _text(value, name)

    def _content(self, rest: dict[str, Json], scope: Mapping[str, Json], headers: dict[str, str]) -> bytes | None:
        """The body, and in `headers` what it is."""
        given = {name.lower(): value for name, value in headers.items()}.get("content-type", "").lower()
        if not isinstance(self.body, Missing):
            data: Json = evaluated(self.body, scope)
        elif self.whole is not None:
            if self.whole not in rest:
                return None
            data = rest[self.whole]
        elif not rest:
            return None if self.method in _WITH_QUERY or self.query is not None else _json(headers, {}, given)
        else:
            data = dict(rest)
        if isinstance(data, str) and (self.media == "text" or not isinstance(self.body, Missing)):
            if not given:
                headers["Content-Type"] = "text/plain; charset=utf-8"
            return data.encode()
        if isinstance(data, dict) and (self.media == "form" or given.startswith("application/x-www-form-urlencoded")):
            if not given:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            return urlencode(list(self._query(data))).encode()
        return _json(headers, data, given)


def _json(headers: dict[str, str], data: Json, given: str) -> bytes:
    if not given:
        headers["Content-Type"] = "application/json"
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _simple(value: Json) -> Json:
    """A list as OpenAPI's `simple` style has it."""
    return ",".join(requests.shown(item, "an item of a list") for item in value) if isinstance(value, list) else value


def _text(value: Json, name: str) -> str:
    value = _simple(value) if isinstance(value, list) else value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else requests.shown(value, name)


def evaluated(data: Json, scope: Mapping[str, Json]) -> Json:
    """What the operation's own templates come to."""
    try:
        return templates.value(data, scope)
    except TemplateError as error:
        raise NodeError("tool", str(error), code=400) from None


def http(
    request: str,
    *,
    args: Any = None,
    headers: Headers | None = None,
    body: Json | Missing = MISSING,
    returns: Any = None,
    hosts: Sequence[str] = (),
) -> Operation:
    """`METHOD https://host/path/{argument}`; `hosts` are those that need not be of the open internet."""
    method, _, url = request.partition(" ")
    base, path = _split(url)
    return Call(method, base, path, args, headers or {}, body, returns, tuple(hosts))


def _split(url: str) -> tuple[str, str]:
    match = re.match(r"https?://[^/?]+", url)
    assert match is not None, url
    return match[0], url[match.end() :]


@dataclass(frozen=True, eq=False)
class Api:
    """What the operations of one OpenAPI specification share."""

    base_url: str | Env
    headers: Headers = field(default_factory=dict)
    hosts: Sequence[str] = ()

    def operation(
        self,
        request: str,
        *,
        args: Any = None,
        query: Sequence[str] = (),
        header: Sequence[str] = (),
        cookie: Sequence[str] = (),
        joined: Sequence[str] = (),
        body: str | None = None,
        media: Literal["json", "form", "text"] = "json",
        returns: Any = None,
    ) -> Operation:
        """`METHOD /path/{argument}`. The arguments that are named nowhere are the fields of the body, unless `body`
        names the one that is all of it."""
        method, _, path = request.partition(" ")
        return Call(
            method,
            self.base_url,
            path,
            args,
            self.headers,
            returns=returns,
            hosts=tuple(self.hosts),
            query=tuple(query),
            header=tuple(header),
            cookie=tuple(cookie),
            joined=tuple(joined),
            whole=body,
            media=media,
        )
