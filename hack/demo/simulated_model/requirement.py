"""Answers of `implement_requirement`: a middleware where one is needed, a test as proof, and a page."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simulated_model.model import uses_tokens
from simulated_model.parse import Prompt
from simulated_model.scaffold import token_seconds
from simulated_model.text import fill, quoted, template

#: Template by what the requirement's text mentions; the first match wins.
_KINDS = (
    (r"rate[ -]?limit", "rate_limit"),
    (r"(?:jwt|token).*expir|expir.*(?:jwt|token)", "token_expiry"),
    (r"bcrypt|password.*hash", "bcrypt"),
    (r"sql injection|parameteri[sz]ed", "injection"),
    (r"xss|cross-site|saniti[sz]", "markup"),
    (r"(?:query|database).*\d\s*ms\b", "query_time"),
    (r"\bp9\d\b.*\d\s*ms\b|response time|latency", "latency"),
    (r"concurrent|simultaneous", "concurrency"),
)
_EXPLANATIONS = {
    "rate_limit": "A middleware counts requests for each client address in windows of a minute and answers "
    "429 with `Retry-After` beyond the limit. `RATE_LIMIT_PER_MINUTE` sets the limit; 0 switches it off.",
    "token_expiry": "`src/http/auth.ts` signs every token with its lifetime; an expired token gets 401.",
    "bcrypt": "Passwords are hashed with bcrypt before they are stored; `BCRYPT_ROUNDS` sets the cost.",
    "injection": "All values reach PostgreSQL as parameters; column names come from `src/db/sql.ts`, "
    "which refuses everything that is not a plain name.",
    "markup": "`sanitize` removes markup from every text that clients send; answers are JSON with headers "
    "that keep browsers from reading them as a page.",
    "query_time": "Every foreign key and every order of a list has an index.",
    "latency": "Lists are paged and bounded; the test takes the 95th percentile over all reading routes.",
    "concurrency": "Requests share one connection pool and wait for a free connection instead of failing.",
    "general": "All routes validate their input and report errors by their status.",
}
MAX_CONCURRENT = 1000


@dataclass(frozen=True)
class Requirement:
    """One requirement and the template that proves it."""

    category: str
    text: str
    kind: str


def read_requirement(prompt: Prompt) -> Requirement:
    """Understand the prompt's requirement; what is unknown gets the general proof."""
    raw = prompt.detail.get("requirement") or {}
    text = str(raw.get("text") or prompt.title)
    kind = next((name for pattern, name in _KINDS if re.search(pattern, text.lower())), "general")
    if kind == "token_expiry" and not uses_tokens(prompt.project):
        kind = "general"
    return Requirement(str(raw.get("category") or "quality"), text, kind)


def _first_number(text: str, pattern: str, fallback: int) -> int:
    found = re.search(pattern, text)
    return int(found[1].replace(",", "").replace("_", "")) if found else fallback


def _page(requirement: Requirement, test: str) -> str:
    return (
        f"# {requirement.text}\n\nA {requirement.category} requirement. "
        f"{_EXPLANATIONS[requirement.kind]}\n\nProof: `{test}`.\n"
    )


def requirement_files(prompt: Prompt) -> dict[str, str]:
    """Render the files of a requirement by the paths that the task may write."""
    requirement = read_requirement(prompt)
    text = requirement.text.lower()
    values = {
        "title": quoted(requirement.text),
        "text": requirement.text.replace("*/", ""),
        "seconds": str(token_seconds(prompt.project)),
        "limit": str(_first_number(text, r"(\d[\d,_]*)\s*ms", 100)),
        "count": str(
            min(MAX_CONCURRENT, _first_number(text, r"(\d[\d,_]*)\s*(?:concurrent|simultaneous)", 100))
        ),
    }
    files: dict[str, str] = {}
    test = next((p for p in prompt.paths if p.endswith(".test.ts")), "")
    for path in prompt.paths:
        if path.startswith("src/middleware/") and requirement.kind == "rate_limit":
            files[path] = fill(template("requirement/rate_limit.middleware.ts"), values)
        elif path == test:
            files[path] = fill(template(f"requirement/{requirement.kind}.test.ts"), values)
        elif path.endswith(".md"):
            files[path] = _page(requirement, test)
    return files
