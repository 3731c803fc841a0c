"""Answer of `write_docs`: one page of reference for one resource."""

from __future__ import annotations

from simulated_model.model import Column, Model, Role, build, is_account, uses_tokens
from simulated_model.parse import Prompt
from simulated_model.text import words

_STATUS = {
    "create": "201 with the new row, 400, 409",
    "read": "200 with the row, 400, 404",
    "update": "200 with the changed row, 400, 404, 409",
    "delete": "204, 400, 404",
    "list": "200 with a page, 400",
}


def _who_sets(column: Column) -> str:
    by_role = {
        Role.KEY: "the service",
        Role.PASSWORD: "the client, as `password`; never returned",
        Role.CREATED: "the service",
        Role.UPDATED: "the service",
        Role.OWNER: "the service, from the token",
    }
    return by_role.get(column.role, "the client, required" if column.required else "the client, optional")


def _field_row(column: Column) -> str:
    facts = [f"one of {', '.join(column.choices)}"] if column.choices else [column.type]
    if column.unique:
        facts.append("unique")
    if column.target:
        facts.append(f"refers to {column.target}")
    return f"| `{column.api_name}` | {', '.join(facts)} | {_who_sets(column)} |"


def _endpoint_rows(model: Model, *, tokens: bool) -> list[str]:
    rows = []
    for raw in model.raw.get("endpoints") or ():
        operation = raw.get("operation", "other")
        public = operation == "create" and is_account(model.raw)
        needs = "yes" if tokens and not public else "no"
        answers = _STATUS.get(operation, "200, 400, 404")
        rows.append(f"| `{str(raw['method']).upper()} {raw['path']}` | {operation} | {needs} | {answers} |")
    return rows


def docs_page(prompt: Prompt) -> str:
    """Render `docs/api/<resource>.md`.

    Raises:
        KeyError: the prompt has no resource.
    """
    if prompt.resource is None:
        raise KeyError("resource")
    model = build(prompt.resource, prompt.related, prompt.project)
    tokens = uses_tokens(prompt.project)
    rules = [f"- {text}" for text in model.raw.get("validations") or ()]
    lines = [
        f"# {words(model.name).capitalize()}",
        "",
        "## Endpoints",
        "",
        "| endpoint | operation | token | answers |",
        "|---|---|---|---|",
        *_endpoint_rows(model, tokens=tokens),
        "",
        *(
            ["Without a valid token the answer is 401; to somebody who may not change a row it is 403.", ""]
            if tokens
            else []
        ),
        "## Fields",
        "",
        "| field | type | set by |",
        "|---|---|---|",
        *(_field_row(c) for c in model.columns),
        *(
            f"| `{link.api_name}` | list of ids of {link.target} | the client, optional |"
            for link in model.links
        ),
        *(["", "## Rules", "", *rules] if rules else []),
    ]
    return "\n".join(lines) + "\n"
