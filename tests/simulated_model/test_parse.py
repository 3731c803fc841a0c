from __future__ import annotations

import pytest

from simulated_model.parse import Message, NotAPromptError, parse, sections

PROMPT = """## Project

```json
{"name": "Shop", "architecture": {"authentication": "JWT"}}
```

## Task

- id: api.items.create
- type: implement_endpoint
- title: Implement POST /items
- attempt: 2

```json
{"endpoint": {"method": "POST", "path": "/items"}}
```

## Paths you may write

- src/resources/items/create.ts

## Existing files

````markdown:README.md
## Task

- id: not.this.one
```ts
```
````

## Hint

Look at the price.
"""


def test_a_prompt_gives_its_task_its_paths_and_its_files() -> None:
    prompt = parse([Message("system", "…"), Message("user", PROMPT)])

    assert (prompt.task_id, prompt.type, prompt.attempt, prompt.round) == (
        "api.items.create",
        "implement_endpoint",
        2,
        0,
    )
    assert prompt.project["name"] == "Shop"
    assert prompt.detail["endpoint"]["path"] == "/items"
    assert prompt.paths == ("src/resources/items/create.ts",)
    assert prompt.hint == "Look at the price."


def test_headings_inside_a_fence_are_content() -> None:
    prompt = parse([Message("user", PROMPT)])

    assert prompt.files["README.md"].startswith("## Task\n")
    assert "```ts" in prompt.files["README.md"]


def test_rounds_are_counted_by_the_answers_before() -> None:
    talk = [Message("user", PROMPT), Message("assistant", "…"), Message("user", "## Check failed\n")]

    assert parse(talk).round == 1


def test_an_appended_request_to_be_shorter_is_noticed() -> None:
    assert parse([Message("user", PROMPT + "\n## Answer too long\n\nWrite less.\n")]).shortened


@pytest.mark.parametrize("text", ["Hello", "## Task\n\nno list", ""])
def test_anything_else_is_no_prompt(text: str) -> None:
    with pytest.raises(NotAPromptError):
        parse([Message("user", text)])


def test_an_unclosed_fence_swallows_the_rest_but_not_what_came_before() -> None:
    found = sections("## A\n- one\n```json\n{}\n## B\n")

    assert found["A"].items() == ["one"]
    assert "B" not in found
