"""Reading YAML: what its scalars mean, where everything stands, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agentflow.diagnostics import Diagnostic
from agentflow.diagnostics import Path as Place
from agentflow.scalars import Truth
from agentflow.source import Source, read


def reading(folder: Path, text: str | bytes) -> tuple[Source | None, list[Diagnostic]]:
    file = folder / "graph.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(file, "graph.yaml")


def data(folder: Path, text: str) -> object:
    source, problems = reading(folder, text)
    assert source is not None and not problems, problems
    return source.data


def only(folder: Path, text: str | bytes) -> Diagnostic:
    _, problems = reading(folder, text)
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(
    "word", ["on", "no", "yes", "1:30", "010", "2020-01-01", "True", "0x1f", "1_000", ".inf", "=", "<", "+5", "1.", "-"]
)
def test_only_json_scalars_are_not_text(word: str, tmp_path: Path) -> None:
    if word != "-":
        assert data(tmp_path, f"a: {word}") == {"a": word}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("7", 7),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
    ],
)
def test_json_scalars_keep_their_type(word: str, value: object, tmp_path: Path) -> None:
    found = data(tmp_path, f"a: {word}")
    assert found == {"a": value}
    assert isinstance(found, dict) and type(found["a"]) is type(value)


def test_quoted_scalars_are_text(tmp_path: Path) -> None:
    assert data(tmp_path, "a: '1'\nb: \"true\"\nc: |\n  7\n") == {"a": "1", "b": "true", "c": "7\n"}


def test_aliases_stand_for_whole_values(tmp_path: Path) -> None:
    assert data(tmp_path, "a: &x {b: [1]}\nc: *x\n") == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_cases_may_have_keys_that_are_no_text(tmp_path: Path) -> None:
    assert data(tmp_path, "cases: {true: 1, false: 2}") == {"cases": {Truth("true"): 1, Truth("false"): 2}}
    assert data(tmp_path, "cases: {1: a, 2: b}") == {"cases": {1: "a", 2: "b"}}


TEXT = """a: |
    hello {{ one }}
     more \u00fcn\u00ef\U0001f600 {{ two }}
b: >-
  folded {{ three }}
  and {{ four }}

  then {{ five }}
c: "esc \\" \\u00e9 {{ six }} \\
   cont {{ seven }}"
d: 'it''s {{ eight }}'
e: plain over
  lines {{ nine }} end
f: "a\\tb\\n{{ ten }}"
g: {h: [x, "{{ eleven }}"]}
"""


def test_every_character_of_a_value_has_its_place(tmp_path: Path) -> None:
    for text in (TEXT, TEXT.replace("\n", "\r\n"), "\ufeff" + TEXT):
        source, problems = reading(tmp_path, text)
        assert source is not None and not problems
        found = []
        places: list[tuple[Place, object]] = [((key,), source.data[key]) for key in "abcdef"]  # type: ignore[index, call-overload]
        places.append((("g", "h", 1), "{{ eleven }}"))
        for path, value in places:
            assert isinstance(value, str)
            offset = -1
            while (offset := value.find("{{", offset + 1)) >= 0:
                length = value.find(" ", offset + 3) - offset - 3
                span = source.within(path, offset + 3, length)
                line = text.removeprefix("\ufeff").splitlines()[span.line - 1]
                found.append(line[span.column - 1 : span.end_column - 1])
        assert found == ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]


def test_spans_of_keys_and_values(tmp_path: Path) -> None:
    source, _ = reading(tmp_path, "a:\n  b: [x, yy]\n")
    assert source is not None
    assert (source.span(("a", "b", 1)).line, source.span(("a", "b", 1)).column) == (2, 10)
    assert source.span(("a", "b", 1)).end_column == 12
    assert source.key_span(("a", "b")).column == 3
    assert source.span(("a",)) == source.key_span(("a",))  # a block below its key
    assert source.span(("a", "none", "deeper")) == source.span(("a",))


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.yaml", "there is no file"), (tmp_path, "is a directory")):
        source, problems = read(path)
        assert source is None
        assert [problem.code for problem in problems] == ["unreadable-file"]
        assert words in problems[0].message


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    found = only(tmp_path, "a: " + "x" * 2_000_000)
    assert found.code == "file-too-large"


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"---\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_told(text: bytes, tmp_path: Path) -> None:
    assert only(tmp_path, text).code == "empty-file"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 100_000, "too-deep"),
        ("{a: " * 100_000, "too-deep"),
        ("a: &a {b: *a}", "yaml-syntax"),
        ("a: 1\nb: 2\na: 3\n", "duplicate-key"),
        ("a: \x00", "bad-character"),
        (b"\xff\xfea\x00:\x00", "not-utf8"),
    ],
)
def test_what_breaks_other_readers_is_told_at_once(text: str | bytes, code: str, tmp_path: Path) -> None:
    started = time.perf_counter()
    assert only(tmp_path, text).code == code
    assert time.perf_counter() - started < 1


def test_a_merge_bomb_is_told_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{" + ", ".join(f"k{j}: *a{i - 1}" for j in range(9)) + "}" for i in range(1, 20)]
    started = time.perf_counter()
    assert only(tmp_path, "\n".join(lines)).code == "too-many-aliases"
    merges = "\n".join(["a0: &a0 {x: 1}", *(f"a{i}: &a{i}\n  <<: [*a{i - 1}, *a{i - 1}]" for i in range(1, 20))])
    _, problems = reading(tmp_path, merges)
    assert {problem.code for problem in problems} == {"merge-key", "too-many-aliases"} or len(problems) == 19
    assert time.perf_counter() - started < 1


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    _, problems = reading(tmp_path, "a: 1\na: 2\nb: !x 1\n1: 2\nc: {{ d }}\n")
    assert [problem.code for problem in problems] == [
        "duplicate-key",
        "yaml-tag",
        "non-string-key",
        "unquoted-template",
    ]
    assert [problem.span.line for problem in problems] == [2, 3, 4, 5]
