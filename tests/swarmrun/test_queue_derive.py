"""Secrets derived from the install key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrun.core.derive import derive

KEY = b"0123456789abcdef"


def test_the_same_question_gets_the_same_secret() -> None:
    assert derive(KEY, "uid", "agent-token") == derive(KEY, "uid", "agent-token")
    assert len(derive(KEY, "uid", "agent-token")) == 64


@given(
    st.tuples(st.text(min_size=1), st.text(min_size=1)), st.tuples(st.text(min_size=1), st.text(min_size=1))
)
def test_different_questions_get_different_secrets(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (derive(KEY, *one) == derive(KEY, *other)) == (one == other)


def test_another_install_has_other_secrets() -> None:
    assert derive(KEY, "uid", "agent-token") != derive(KEY[::-1], "uid", "agent-token")


@pytest.mark.parametrize(("key", "uid", "purpose"), [(b"short", "u", "p"), (KEY, "", "p"), (KEY, "u", "")])
def test_weak_questions_are_refused(key: bytes, uid: str, purpose: str) -> None:
    with pytest.raises(ValueError, match="must"):
        derive(key, uid, purpose)
