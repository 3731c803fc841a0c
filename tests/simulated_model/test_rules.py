from __future__ import annotations

import pytest

from simulated_model.rules import Rule, rule_for


@pytest.mark.parametrize(
    ("field", "sentence", "rule"),
    [
        ("email", "email must be valid format", Rule(format="email")),
        ("password_hash", "password must be 8+ characters", Rule(min_length=8)),
        ("name", "name must be 2-50 characters", Rule(min_length=2, max_length=50)),
        ("name", "name must be between 2 and 50 characters", Rule(min_length=2, max_length=50)),
        ("title", "title must be at most 200 characters", Rule(max_length=200)),
        ("title", "title must not be empty", Rule(min_length=1)),
        ("code", "code must be exactly 6 characters", Rule(min_length=6, max_length=6)),
        ("bio", "bio cannot exceed 500 characters", Rule(max_length=500)),
        ("priority", "priority must be between 1 and 5", Rule(minimum=1, maximum=5)),
        ("price", "price must be positive", Rule(minimum=1)),
        ("stock", "stock must be non-negative", Rule(minimum=0)),
        ("age", "age must be at least 18", Rule(minimum=18)),
        ("age", "age must be 18+", Rule(minimum=18)),
        ("seats", "seats must be greater than 2", Rule(minimum=3)),
        ("discount", "discount must be at most 0.5", Rule(maximum=0.5)),
        ("status", "status must be one of: open, closed", Rule(choices=("open", "closed"))),
        ("due_date", "due date must be valid format", Rule()),
        ("color", "color must be a hex code", Rule(format="color")),
        ("website", "website must be a valid URL", Rule(format="url")),
        ("title", "name must be 2-50 characters", Rule()),
        ("title", "title should make sense", Rule()),
    ],
)
def test_sentences_become_limits(field: str, sentence: str, rule: Rule) -> None:
    assert rule_for(field, [sentence]) == rule


def test_several_sentences_about_one_field_add_up() -> None:
    sentences = ["name must be at least 2 characters", "name must be at most 9 characters"]

    assert rule_for("name", sentences) == Rule(min_length=2, max_length=9)
