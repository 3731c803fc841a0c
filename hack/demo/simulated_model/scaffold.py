"""Answer of `scaffold`: the modules that everything else builds on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from simulated_model.endpoint import is_login, login_module
from simulated_model.model import Model, build, uses_tokens
from simulated_model.parse import Prompt
from simulated_model.text import fill, template, template_names

_LIFETIME = re.compile(r"(\d+)\s*(hour|minute|day)")
_UNITS = {"minute": 60, "hour": 3600, "day": 86_400}
_RATE = re.compile(r"(\d+)\s*requests?\s*(?:/|per)\s*(?:min|minute)")


def _requirements(project: Mapping[str, Any]) -> list[str]:
    groups = project.get("requirements") or {}
    return [str(text).lower() for texts in groups.values() for text in texts]


def token_seconds(project: Mapping[str, Any]) -> int:
    """Lifetime of tokens as the requirements say; a day otherwise."""
    for text in _requirements(project):
        found = _LIFETIME.search(text)
        if found and "expire" in text:
            return int(found[1]) * _UNITS[found[2]]
    return 86_400


def rate_limit(project: Mapping[str, Any]) -> int:
    """Requests per minute as the requirements say; 100 otherwise."""
    found = next((m for m in map(_RATE.search, _requirements(project)) if m), None)
    return int(found[1]) if found else 100


def _models(prompt: Prompt) -> list[Model]:
    resources = prompt.detail.get("resources") or []
    return [build(r, resources, prompt.project) for r in resources]


def _readme(prompt: Prompt, models: list[Model]) -> str:
    rows = [f"| {m.name} | {len(m.raw.get('endpoints') or ())} |" for m in models]
    return fill(
        template("README.md"),
        {
            "name": str(prompt.project.get("name") or "Service"),
            "description": str(prompt.project.get("description") or ""),
            "resources": "\n".join(rows),
        },
        {"jwt"} if uses_tokens(prompt.project) else set(),
    )


def scaffold_files(prompt: Prompt) -> dict[str, str]:
    """Render every file of the scaffold by path."""
    models = _models(prompt)
    flags = {"jwt"} if uses_tokens(prompt.project) else set()
    values = {
        "project": str(prompt.project.get("name") or "service").replace("`", "").replace("$", ""),
        "token_seconds": str(token_seconds(prompt.project)),
        "rate_limit": str(rate_limit(prompt.project)),
    }
    files = {"README.md": _readme(prompt, models)}
    for name in template_names("scaffold"):
        files[name] = fill(template(f"scaffold/{name}"), values, flags)
    if not flags:
        del files["src/http/auth.ts"]
    if not any(m.links for m in models):
        del files["src/db/links.ts"]
    account = next((m for m in models if m.password), None)
    own = any(is_login(str(e.get("path", ""))) for m in models for e in m.raw.get("endpoints") or ())
    if flags and account and not own:
        login = login_module(account, method="post", path="/api/auth/login", up="../")
        files["src/system/login.ts"] = login
    return files
