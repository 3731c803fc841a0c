import io
from pathlib import Path

import pytest

from swarm_cli.yamlfile import MAX_ALIASES, MAX_BYTES, parse_documents, read_documents
from swarmrun.core.errors import Invalid

BOMB = "a: &a [x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "path", "rule"),
    [
        ("a: 1\nb: 2\na: 3\n", "-:3", "must not repeat a key; line 1 has it already"),
        ("x:\n  - {k: 1, k: 2}\n", "-:2", "must not repeat a key"),
        (BOMB, "-:4", f"at most {MAX_ALIASES} aliases"),
        ("a: &a [*a]\n", "-:1", "must not refer to itself"),
        ("[" * 20_000, "-:1", "must nest at most 32 levels"),
        ("a: [\n", "-:2", "must be valid YAML"),
        ("a: b: c\n", "-:1", "must be valid YAML"),
        ("a: !!python/object:os.system x\n", "-:1", "must be valid YAML"),
        ("a: 2024-13-45\n", "-", "must be valid YAML values"),
        ("---\na: 1\n" * 51, "-:101", "at most 50 documents"),
    ],
)
def test_hostile_or_broken_yaml_is_refused_with_its_line(text: str, path: str, rule: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_documents(text)
    problem = caught.value.problems[0]
    assert problem.path == path
    assert rule in problem.rule
    assert problem.fix


def test_all_repeated_keys_are_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        parse_documents("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n")
    assert [p.path for p in caught.value.problems] == ["-:2", "-:5"]


def test_several_documents_are_read_and_empty_ones_left_out() -> None:
    assert parse_documents("a: 1\n---\n---\n- 2\n") == [{"a": 1}, [2]]


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(Invalid, match="must have at most 131072 bytes"):
        read_documents(str(file))


def test_a_missing_file_and_wrong_bytes_are_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="must be a readable file"):
        read_documents(str(tmp_path / "none.yaml"))
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(Invalid, match="must be UTF-8"):
        read_documents(str(tmp_path / "latin.yaml"))


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a: 1")))
    assert read_documents("-") == [{"a": 1}]
