"""What tools have in common that reach outside of Python: declared arguments and results, secrets, headers, hosts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from agentflow import ir
from agentflow.diagnostics import Path, quoted
from agentflow.nodes import arguments
from agentflow.nodes.kind import Template
from agentflow.project import allowed_hosts
from agentflow.spec.reader import Reader
from agentflow.spec.types import read_object, read_type_at
from agentflow.tools.schema import parameters_schema
from agentflow.tools.signature import Parameter, Signature
from agentflow.types import ANY, STRING, Json, Named, Nullable, Object, Type

TIMEOUT = 60_000
"""ms for one try of what waits for somebody else, where the author says nothing."""

Given = tuple[tuple[str, "Json | ir.Secret"], ...]
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
OUR_HEADERS = frozenset(["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"])


# ---------------------------------------------------------------- arguments and results


def read_args(reader: Reader) -> tuple[Type | None, Object]:
    """The type of `args:` as it was written, and its fields."""
    data = reader.take("args")
    if not reader.has("args"):
        return None, Object(())
    written = read_object(reader.reading, reader.at("args"), data)
    known, types = written, dict(reader.reading.types)
    while isinstance(known, Named):
        known = types.pop(known.name, ANY)
    if isinstance(known, Object):
        return (written if known.fields else None), known
    if known != ANY:
        message = "the arguments of a tool are a mapping of fields, or the name of a type that is one"
        reader.error("bad-type", message, reader.at("args"))
    return None, Object(())


def signature(fields: Object, returns: Type) -> Signature:
    """Of a tool whose arguments are these fields."""
    parameters = [Parameter(one.name, one.type, not one.optional, one.description) for one in fields.fields]
    return signature_of(parameters, returns)


def signature_of(parameters: Sequence[Parameter], returns: Type, description: str | None = None) -> Signature:
    schema = parameters_schema(parameters, False)
    return Signature(tuple(parameters), returns, description, True, True, False, schema)


def open_signature() -> Signature:
    """Of a tool whose arguments only its server knows."""
    return Signature((), ANY, None, True, True, False, parameters_schema((), True), True)


def read_returns(reader: Reader) -> Type | None:
    """None where the author expects nothing in particular."""
    returns = read_type_at(reader, "returns")
    return None if returns == ANY else returns


# ---------------------------------------------------------------- texts of the tool's own


def seen(signature: Signature | None) -> dict[str, Type]:
    """What a tool's own texts refer to."""
    return {"args": arguments.object_type(signature), "idempotency_key": STRING}


def value_template(path: Path, data: Json, signature: Signature | None) -> Template:
    return Template(path, "value", data, seen(signature), Nullable(ANY), alone=True)


def text_template(path: Path, data: Json, signature: Signature | None) -> Template:
    return Template(path, "text", data, seen(signature), STRING, alone=True)


def header_templates(path: Path, headers: Given, signature: Signature | None) -> Iterator[Template]:
    for name, value in headers:
        if not isinstance(value, ir.Secret):
            yield value_template((*path, name), value, signature)


# ---------------------------------------------------------------- secrets


def is_secret(data: Json) -> bool:
    return isinstance(data, dict) and set(data) == {"env"}


def read_secret(reader: Reader, path: Path, data: Json) -> ir.Secret | None:
    """`{env: NAME}`; None, and reported, where it names no variable."""
    name = data["env"] if isinstance(data, dict) else None
    if isinstance(name, str) and _VARIABLE.match(name):
        return ir.Secret(name)
    shown = quoted(name) if isinstance(name, str | int | float) else "this"
    message = f"{shown} names no variable of the environment"
    reader.error("bad-env", message, (*path, "env"), help="write {env: NAME}, with the variable's name, not its value")
    return None


def read_env(reader: Reader, key: str = "env") -> tuple[tuple[str, str | ir.Secret], ...]:
    """The environment of a process: plain texts and secrets."""
    found: list[tuple[str, str | ir.Secret]] = []
    for name, data in reader.entries(key, "a mapping of variables").items():
        path = reader.at(key, name)
        if not _VARIABLE.match(name):
            reader.error("bad-env", f"{quoted(name)} cannot name a variable of the environment", path, key=True)
        elif is_secret(data):
            if (secret := read_secret(reader, path, data)) is not None:
                found.append((name, secret))
        elif isinstance(data, str) and "{{" not in data and "\0" not in data:
            found.append((name, data))
        elif isinstance(data, str):
            message = "the environment of a process is no template: what differs from call to call is an argument"
            reader.error("bad-env", message, path)
        else:
            reader.reading.wrong(path, "text, or {env: NAME}", data, "put it in quotes" if data is not None else None)
    return tuple(found)


def misplaced_secrets(reader: Reader, path: Path, data: Json, where: str) -> None:
    """Reports `{env: NAME}` where it would be sent as it stands."""
    rest: list[tuple[Path, Json]] = [(path, data)]
    while rest:
        place, value = rest.pop()
        if is_secret(value):
            message = f"{where} takes no secrets: only headers, addresses and env do"
            reader.error("misplaced-secret", message, place, help="put it into a header, or let a Python tool send it")
        elif isinstance(value, dict):
            rest += [((*place, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            rest += [((*place, index), inner) for index, inner in enumerate(value)]


# ---------------------------------------------------------------- headers and addresses


def read_headers(reader: Reader, key: str = "headers", templates: bool = True) -> Given:
    """Headers, whose values are secrets, or templates where the call's arguments are known."""
    found: list[tuple[str, Json | ir.Secret]] = []
    seen: dict[str, str] = {}
    for name, data in reader.entries(key, "a mapping of headers").items():
        path = reader.at(key, name)
        if not _HEADER.match(name):
            reader.error("bad-header", f"{quoted(name)} cannot name a header", path, key=True)
        elif name.lower() in OUR_HEADERS:
            message = f"the header {quoted(name)} is made of the request itself"
            reader.error("bad-header", message, path, key=True)
        elif name.lower() in seen:
            related = [(reader.at(key, seen[name.lower()]), "it is given here first")]
            message = f"the header {quoted(name)} is given twice: capitals make no difference"
            reader.error("bad-header", message, path, key=True, related=related)
        elif is_secret(data):
            if (secret := read_secret(reader, path, data)) is not None:
                found.append((name, secret))
        elif isinstance(data, str) and (templates or "{{" not in data):
            if any(ord(char) < 32 and char != "\t" or ord(char) == 127 for char in data):
                reader.error("bad-header", "a header is one line of text", path)
            found.append((name, data))
        elif isinstance(data, str):
            reader.error("bad-header", "this header is no template: it is sent before there is a call", path)
        else:
            reader.reading.wrong(path, "text, or {env: NAME}", data)
        seen.setdefault(name.lower(), name)
    return tuple(found)


def read_address(reader: Reader, key: str) -> str | ir.Secret | None:
    """An address, or the variable that holds it."""
    data = reader.take(key)
    if is_secret(data):
        return read_secret(reader, reader.at(key), data)
    if not isinstance(data, str) or not data.strip():
        reader.reading.wrong(reader.at(key), "an address, or {env: NAME}", data)
        return None
    return data if check_url(reader, reader.at(key), data) is not None else None


def check_url(reader: Reader, path: Path, url: str, offset: int = 0, query: bool = False) -> str | None:
    """The host of an address, as `name` or `name:port`; None, and reported, where it cannot be asked.

    `offset` is where the address begins in the text at the path; `query`: it may have one, and {names} in it.
    """
    whole = (offset, len(url))

    def wrong(message: str, help: str | None = None) -> None:
        reader.error("bad-url", message, path, part=whole, help=help)

    match = re.match(r"https?://([^/?#\s]*)([^\s]*)\Z", url)
    if match is None:
        wrong(f"{quoted(url)} is not an http or https address")
        return None
    authority, rest = match[1], match[2]
    if "{" in authority or "}" in authority:
        wrong("the host is written out: what differs from call to call comes after it")
        return None
    if "@" in authority:
        wrong("an address holds no passwords", "put the secret into a header: {Authorization: {env: NAME}}")
        return None
    try:
        parts = urlsplit(f"http://{authority}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or not re.match(r"[A-Za-z0-9.-]+\Z|[0-9A-Fa-f:.]+\Z", host):
        wrong(f"{quoted(url)} has no host that can be asked")
        return None
    if "#" in rest:
        wrong("a part after # is never sent")
        return None
    if not query and re.search(r"[{}?]", rest):
        wrong("an address that operations share has neither {names} nor a query")
        return None
    return _checked_host(reader, path, host, port, (offset + url.index(authority), len(authority)))


def _checked_host(reader: Reader, path: Path, host: str, port: int | None, part: tuple[int, int]) -> str | None:
    named = f"[{host}]" if ":" in host else host
    if _is_private(host) and not hosts_for(reader, named, port):
        message = f"{quoted(host)} is not of the open internet, and the project does not allow it"
        help = f'if it is meant, allow it in pyproject.toml: [tool.agentflow] hosts = ["{named}"]'
        reader.error("host-not-allowed", message, path, part=part, help=help)
        return None
    return named if port is None else f"{named}:{port}"


def _is_private(host: str) -> bool:
    """Whether it can be seen without asking anybody. What names stand for is looked at when they are used."""
    if host.lower() == "localhost" or host.lower().endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def hosts_for(reader: Reader, host: str, port: int | None = None) -> tuple[str, ...]:
    """The entry of the project's `hosts` that allows a host, if there is one."""
    allowed = allowed_hosts(reader.reading.root)
    wanted = (host.lower(), f"{host.lower()}:{port}")
    return tuple(entry.lower() for entry in allowed if entry.lower() in wanted)[:1]


def hosts_of(reader: Reader, address: str | ir.Secret | None) -> tuple[str, ...]:
    """The allowed hosts that matter to an address; all of them where it is not known yet."""
    if isinstance(address, ir.Secret):
        return tuple(entry.lower() for entry in allowed_hosts(reader.reading.root))
    if address is None:
        return ()
    parts = urlsplit(re.sub(r"[{}]", "", address))
    host = parts.hostname or ""
    return hosts_for(reader, f"[{host}]" if ":" in host else host, parts.port)
