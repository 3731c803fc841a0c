import pytest

from swarmrun.core.models import output_limit


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("gpt-4-turbo", 4_096),
        ("gpt-4-turbo-2024-04-09", 4_096),
        ("gpt-4", 8_192),
        ("gpt-4.1", 16_000),
        ("gpt-4o-2024-05-13", 4_096),
        ("gpt-4o-mini", 16_000),
        ("claude-3-5-sonnet-latest", 8_192),
        ("claude-sonnet-5-5", 16_000),
        ("anything-else", 16_000),
    ],
)
def test_older_models_write_less(model: str, limit: int) -> None:
    assert output_limit(model, 16_000) == limit
