"""One HTTP exchange of a tool: what is sent, and what its answer means.

2xx is success; 408, 429 and 5xx are worth another try; the rest ends the node, with the service's own status. A
redirect is followed only to the place where the request went anyway. Answers are bounded in size; their time is the
tool's `timeout`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx2

from agentflow.runtime import network, results
from agentflow.runtime.errors import NodeError, ToolUnavailable
from agentflow.runtime.schema import Mismatch
from agentflow.runtime.secrets import mask, mask_json
from agentflow.types import Json

LARGEST = 4 * 1024 * 1024  # bytes of an answer, once unpacked
LONGEST_PAUSE = 3600.0  # seconds that a service may ask to be left alone before the next try
_REDIRECTS = 5
_QUOTED = 500  # characters of a refusal that an error shows
_PATIENT = {408, 429}
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\b", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What is sent, but for where secrets go: headers have been filled in."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None


def encoded(value: Json, name: str) -> str:
    """A value as one segment of a path."""
    text = shown(value, name)
    if text in ("", ".", ".."):
        raise NodeError("tool", f"{name} cannot stand in a path: {text!r}", code=400, told=True)
    return quote(text, safe="")


def shown(value: Json, name: str) -> str:
    """A value as the text of a path, a query or a header."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise NodeError("tool", f"{name} must be text or a number", code=400, told=True)


def header(value: Json, name: str) -> str:
    """A value as a header's, which is one line."""
    text = shown(value, f"the header {name}")
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        raise NodeError("tool", f"the header {name} must be one line of text", code=400, told=True)
    return text.strip()


async def exchange(request: Request, hosts: Collection[str], returns: Any = None) -> Json:
    """Sends the request once, and gives what the answer says, held to `returns` where that is not None.

    Raises NodeError where another try would not help, else ToolUnavailable.
    """
    where = f"{request.method} {request.url}"
    async with network.client(hosts) as client:
        try:
            return await _exchange(client, request, where, returns)
        except httpx2.TimeoutException as error:
            sent = not isinstance(error, httpx2.ConnectTimeout | httpx2.PoolTimeout)
            raise ToolUnavailable(f"{where}: no answer in time", code=504, unknown=sent) from None
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
            raise NodeError("tool", f"{where}: {error}", code=400) from None
        except httpx2.DecodingError as error:
            raise NodeError("tool", f"{where}: the answer cannot be unpacked: {error}", unknown=True) from None
        except httpx2.TransportError as error:
            sent = not isinstance(error, httpx2.ConnectError)
            about = str(error) or type(error).__name__
            raise ToolUnavailable(f"{where}: {about}", code=502, unknown=sent) from None


async def _exchange(client: httpx2.AsyncClient, request: Request, where: str, returns: Any) -> Json:
    headers = {name.encode(): value.encode() for name, value in request.headers.items()}
    params = httpx2.QueryParams(list(request.query)) if request.query else None
    method, content = request.method, request.content
    url = httpx2.URL(request.url)
    if params is not None:
        url = url.copy_with(params=httpx2.QueryParams([*url.params.multi_items(), *params.multi_items()]))
    for _ in range(_REDIRECTS):
        sent = client.build_request(method, url, headers=headers, content=content)
        response = await client.send(sent, stream=True)
        try:
            onward = _redirect(response, where)
            if onward is None:
                return await _answer(response, where, returns)
        finally:
            await response.aclose()
        url = onward
        if response.status_code == 303:
            method, content = "GET", None
    raise NodeError("tool", f"{where}: redirected {_REDIRECTS} times", code=502)


def _redirect(response: httpx2.Response, where: str) -> httpx2.URL | None:
    """Where to ask instead; None if this is the answer. Only where the request has gone already."""
    if response.status_code not in (301, 302, 303, 307, 308) or "location" not in response.headers:
        return None
    request = response.request
    target = request.url.join(response.headers["location"])
    if (target.scheme, target.host, target.port) != (request.url.scheme, request.url.host, request.url.port):
        told = f"{target.scheme}://{target.netloc.decode('ascii', 'replace').rpartition('@')[2]}"
        message = f"{where}: answered {response.status_code}, a redirect to {told}, which is not followed"
        raise NodeError("tool", message, code=502)
    if response.status_code in (301, 302) and request.method != "GET":
        message = f"{where}: answered {response.status_code}, a redirect to {target}, which a {request.method} is not"
        raise NodeError("tool", f"{message} sent after", code=502)
    return target


async def _answer(response: httpx2.Response, where: str, returns: Any) -> Json:
    status = response.status_code
    succeeded = 200 <= status < 300
    try:
        content = await _content(response, where)
    except NodeError:
        if succeeded:
            raise
        content = b""
    if succeeded:
        try:
            return _value(response, content, where, returns)
        except Mismatch as mismatch:
            message = f"{where}: the answer does not fit what is expected: {mismatch}"
            raise NodeError("tool", message, unknown=True) from None
    about = f"{status} {response.reason_phrase}".strip()
    said = " ".join(content[: 4 * _QUOTED].decode("utf-8", "replace").split())
    said = said if len(said) <= _QUOTED else f"{said[:_QUOTED]}..."
    message = mask(f"{where} answered {about}" + (f": {said}" if said else ""))
    if status in _PATIENT or 500 <= status < 600:
        unknown = status not in _PATIENT
        raise ToolUnavailable(message, code=status, retry_after=_retry_after(response), unknown=unknown)
    raise NodeError("tool", message, code=status if 400 <= status < 500 else 502)


async def _content(response: httpx2.Response, where: str) -> bytes:
    too_large = NodeError("tool", f"{where}: the answer is larger than {LARGEST} bytes", unknown=True)
    length = response.headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST:
        raise too_large
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > LARGEST:
            raise too_large
    return bytes(content)


def _value(response: httpx2.Response, content: bytes, where: str, returns: Any) -> Json:
    is_json = bool(_JSON.match(response.headers.get("content-type", "")))
    if not content.strip():
        return None if returns is None else results.fitted("" if returns is str else None, returns)
    try:
        text = content.decode(response.charset_encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        kind = response.headers.get("content-type", "something")
        raise Mismatch([f"{kind} is neither text nor JSON"]) from None
    if returns is str or (returns is None and not is_json):
        value: Json = text
        if is_json:
            data = results.parsed(text)
            value = data if isinstance(data, str) else text
        return mask_json(value)
    data = results.parsed(text)
    return mask_json(data if returns is None else results.fitted(data, returns))


def _retry_after(response: httpx2.Response) -> float | None:
    """The seconds that the service asks for, as a number or a date."""
    given = response.headers.get("retry-after", "").strip()
    if not given:
        return None
    try:
        seconds = float(given) if given.isdigit() else parsedate_to_datetime(given).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE)
