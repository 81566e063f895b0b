"""A function of Python as a tool: its parameters, types and description, read from the source with `ast` alone.

User code is never imported by the compiler: importing it may be slow, print, connect, or fail.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

from agentflow.diagnostics import choices_help, quoted
from agentflow.project import allowed_modules
from agentflow.tools.annotations import Annotations, annotated_extras, described_by
from agentflow.tools.modules import Imported, Module, Unreadable, load
from agentflow.tools.schema import parameters_schema
from agentflow.tools.signature import Parameter, Signature
from agentflow.types import ANY, NULL, Nullable, Type

Function = ast.FunctionDef | ast.AsyncFunctionDef
KEY = "idempotency_key"
STATE = "state"  # of an object; elsewhere a parameter like any other
_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)\Z", re.ASCII)
_SECTION = re.compile(r"^(args|arguments|parameters|returns|return|raises|yields|examples?|notes?):?\s*$", re.I)
_PARAMETER = re.compile(r"^\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_SPHINX = re.compile(r"^\s*:param(?:\s+\S+)?\s+(\w+):\s*(.*)$")


@dataclass(frozen=True)
class Problem:
    """What is wrong with a reference; `part` is the offset and length in it."""

    code: str
    message: str
    part: tuple[int, int]
    help: str | None = None


def signature(reference: str, root: Path, in_object: bool = False) -> Signature | Problem:
    """The signature behind `module:function`, or what is wrong with it."""
    match = _REFERENCE.match(reference)
    whole = (0, len(reference))
    if match is None:
        help = f"write {'.'.join(reference.split('.')[:-1])}:{reference.split('.')[-1]}" if "." in reference else None
        help = help if help and _REFERENCE.match(help.removeprefix("write ")) else None
        return Problem("bad-reference", "a function of Python is written module:function", whole, help)
    name, function = match.groups()
    module_part, function_part = (0, len(name)), (len(name) + 1, len(function))
    if not any(name == allowed or name.startswith(allowed + ".") for allowed in allowed_modules(root)):
        help = f'keep tools in the tools package, or allow it in pyproject.toml: [tool.agentflow] modules = ["{name}"]'
        return Problem(
            "module-not-allowed", f"the module {quoted(name)} is not allowed to hold tools", module_part, help
        )
    try:
        module = load(name, root)
        if module is None:
            return Problem(
                "unknown-module", f"there is no module {quoted(name)}", module_part, _module_help(name, root)
            )
        return _in_module(module, function, root, function_part, in_object)
    except Unreadable as problem:
        return Problem("unreadable-module", f"the module {quoted(name)} cannot be read: {problem}", module_part)


def _module_help(name: str, root: Path) -> str | None:
    parent, _, last = name.rpartition(".")
    folder = Path(root, *parent.split(".")) if parent else root
    try:
        siblings = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    except OSError:
        return None
    return choices_help(last, siblings)


def _in_module(
    module: Module, name: str, root: Path, part: tuple[int, int], in_object: bool, hops: int = 0
) -> Signature | Problem:
    found = module.names.get(name)
    if isinstance(found, Function):
        return _function(found, module, root, part, in_object)
    if isinstance(found, Imported) and found.name and hops < 5:
        origin = load(found.module, root)
        return _in_module(origin, found.name, root, part, in_object, hops + 1) if origin else _opaque()
    if isinstance(found, ast.ClassDef):
        return Problem("unknown-function", f"{quoted(name)} is a class, and a tool is a function", part)
    if found is not None or module.stars:
        return _opaque()
    functions = [key for key, value in module.names.items() if isinstance(value, Function) and not key.startswith("_")]
    message = f"there is no function {quoted(name)} in {module.name}"
    return Problem("unknown-function", message, part, choices_help(name, functions))


def _opaque() -> Signature:
    """Of something callable whose parameters the source does not tell: a `partial`, a decorated import."""
    return Signature((), ANY, None, False, False, False, parameters_schema((), True), True)


def _function(
    node: Function, module: Module, root: Path, part: tuple[int, int], in_object: bool
) -> Signature | Problem:
    reader = Annotations(module, root, given=False)
    if node.args.posonlyargs:
        first = node.args.posonlyargs[0].arg
        return Problem("bad-signature", f"the parameter {quoted(first)} cannot be given by its name", part)
    docstring = inspect.cleandoc(ast.get_docstring(node) or "")
    described = _described_parameters(docstring)
    arguments = [*node.args.args, *node.args.kwonlyargs]
    defaults: list[ast.expr | None] = [None] * (len(node.args.args) - len(node.args.defaults))
    defaults += [*node.args.defaults, *node.args.kw_defaults]
    parameters: list[Parameter] = []
    contexts = 0
    ours = {KEY, STATE} if in_object else {KEY}
    for argument, default in zip(arguments, defaults, strict=True):
        if reader.is_context(argument.annotation):
            contexts += 1
        elif argument.arg not in ours:
            extras = annotated_extras(argument.annotation)
            words = next((text for extra in extras if (text := described_by(extra))), None)
            words = words or described.get(argument.arg)
            parameters.append(Parameter(argument.arg, _type(reader, argument, default), default is None, words))
    if contexts > 1:
        return Problem("bad-signature", "a tool takes at most one restate.Context", part)
    return Signature(
        parameters=tuple(parameters),
        returns=Annotations(module, root, given=True).read(node.returns),
        description=_description(docstring),
        is_async=isinstance(node, ast.AsyncFunctionDef),
        takes_key=any(argument.arg == KEY for argument in arguments),
        keeps_own_journal=contexts == 1,
        schema=parameters_schema(parameters, node.args.kwarg is not None),
        open=node.args.kwarg is not None,
        takes_state=in_object and any(argument.arg == STATE for argument in arguments),
        line=node.lineno,
    )


def _type(reader: Annotations, argument: ast.arg, default: ast.expr | None) -> Type:
    type = reader.read(argument.annotation)
    none = isinstance(default, ast.Constant) and default.value is None
    return Nullable(type) if none and type not in (ANY, NULL) and not isinstance(type, Nullable) else type


def _description(docstring: str) -> str | None:
    """The docstring up to its sections."""
    lines: list[str] = []
    for line in docstring.splitlines():
        if _SECTION.match(line) or _SPHINX.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip() or None


def _described_parameters(docstring: str) -> dict[str, str]:
    """What an `Args:` section, or `:param x:`, says of each parameter."""
    found: dict[str, str] = {}
    inside, current = False, ""
    for line in docstring.splitlines():
        if match := _SPHINX.match(line):
            found[match[1]] = match[2].strip()
        elif section := _SECTION.match(line):
            inside, current = section[1].lower() in ("args", "arguments", "parameters"), ""
        elif inside and line.strip():
            indent = len(line) - len(line.lstrip())
            if indent <= 4 and (match := _PARAMETER.match(line)):
                current = match[1]
                found[current] = match[2].strip()
            elif current:
                found[current] = f"{found[current]} {line.strip()}".strip()
    return {name: text for name, text in found.items() if text}
