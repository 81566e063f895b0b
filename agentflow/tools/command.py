"""`command`: a program and its arguments, never a shell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.diagnostics import quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Template
from agentflow.spec.model import Body, GraphSpec, ToolSpec
from agentflow.spec.reader import Reader
from agentflow.spec.types import read_type_at
from agentflow.tools import outside
from agentflow.tools.kind import SingleToolKind
from agentflow.tools.signature import Signature
from agentflow.types import STRING, Type

_SHELLS = frozenset(["sh", "bash", "dash", "zsh", "ksh", "ash", "fish"])
TIMEOUT = 600_000  # ms


@dataclass(frozen=True)
class CommandBody(Body):
    words: tuple[str, ...]
    args: Type | None
    env: tuple[tuple[str, str | ir.Secret], ...]
    returns: Type | None


class CommandKind(SingleToolKind[CommandBody]):
    key = "command"
    keys = ("args", "env", "returns")
    model = CommandBody
    described = Described(
        "A program and its arguments, never a shell; what it prints is the value.",
        {
            "command": v.ref("command", "The program and its arguments, which may be templates over args."),
            "args": v.object_type("What a call is given, as a mapping of fields."),
            "env": v.ref("environment", "Variables of its environment, texts or {env: NAME}."),
            "returns": v.type("The type of what it prints, read as JSON unless it is string."),
        },
    )
    timeout = TIMEOUT

    def read(self, reader: Reader) -> tuple[CommandBody, Signature | None] | None:
        words = read_words(reader, "command", templates=True)
        args, fields = outside.read_args(reader)
        env, returns = outside.read_env(reader), read_type_at(reader, "returns")
        if words is None:
            return None
        returns = None if returns == STRING else returns
        return CommandBody(words, args, env, returns), outside.signature(fields, returns or STRING)

    def ends(self, tool: ToolSpec, graph: GraphSpec) -> bool:
        return self.body(tool).returns is not None  # what it prints may not fit

    def templates(self, tool: ToolSpec, graph: GraphSpec) -> Iterator[Template]:
        for index, word in enumerate(self.body(tool).words):
            yield outside.text_template((*tool.path, "command", index), word, tool.signature)

    def lower(self, tool: ToolSpec) -> ir.Does:
        body = self.body(tool)
        return ir.Command(body.words, body.args, body.env, body.returns)


def read_words(reader: Reader, key: str, templates: bool) -> tuple[str, ...] | None:
    """A command as a list of texts. Its program is written out; None, and reported, where there is none."""
    data, path = reader.take(key), reader.at(key)
    if not isinstance(data, list) or not data:
        help = None
        if isinstance(data, str) and data.strip():
            listed = ", ".join(word if word.isalnum() else f'"{word}"' for word in data.split())
            help = f"there is no shell that takes it apart: write [{listed}]" if '"' not in data else None
        reader.reading.wrong(path, "a list: a program and its arguments", data, help)
        return None
    words: list[str] = []
    for index, word in enumerate(data):
        if outside.is_secret(word):
            message = "an argument takes no secrets: other processes can see it"
            help = "hand it over in the environment: env: {NAME: {env: NAME}}"
            reader.error("misplaced-secret", message, (*path, index), help=help)
            return None
        if not isinstance(word, str) or "\0" in word or (index == 0 and not word.strip()):
            help = "put it in quotes" if isinstance(word, bool | int | float) else None
            reader.reading.wrong((*path, index), "text", word, help)
            return None
        words.append(word)
    for index, word in enumerate(words):
        if "{{" not in word and "{%" not in word:
            continue
        if index == 0 or not templates:
            what = "the program is written out" if templates else "the command of a server is no template"
            reader.error("not-allowed-in-template", what, (*path, index))
            return None
        if _is_script(words, index):
            message = f"{quoted(words[0])} would run what a template writes"
            help = 'give it as an argument of the script: [sh, -c, "ls -- \\"$1\\"", sh, "{{ args.path }}"]'
            reader.error("shell-template", message, (*path, index), help=help)
            return None
    return tuple(words)


def _is_script(words: list[str], index: int) -> bool:
    """Whether a word is the script that a shell is given."""
    if words[0].rpartition("/")[2] not in _SHELLS:
        return False
    options = [at for at, word in enumerate(words[1:], 1) if word.startswith("-") and "c" in word.lstrip("-")]
    return bool(options) and index == options[0] + 1
