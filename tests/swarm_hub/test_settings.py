import os
from pathlib import Path

import pytest

from swarm_hub.settings import load_settings, read_secret, split_address


def test_the_key_leaves_the_environment_and_hides_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://redis:6379/0")
    monkeypatch.setenv("SWARM_AGENT_TOKEN_FILE", "/token")
    monkeypatch.setenv("SWARM_PROVIDER_API_KEY", "the-key")
    monkeypatch.setenv("SWARM_PROVIDER_FALLBACK_API_KEY", "the-other-key")
    settings = load_settings()
    assert not {name for name in os.environ if name.endswith("_API_KEY") and name.startswith("SWARM_")}
    assert settings.fallback_api_key.get_secret_value() == "the-other-key"
    assert settings.provider_api_key.get_secret_value() == "the-key"
    assert "the-key" not in repr(settings)
    assert "the-other-key" not in repr(settings)


def test_a_token_file_may_end_with_a_newline_but_not_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("abc\n")
    assert read_secret(path) == "abc"
    path.write_text("\n")
    with pytest.raises(ValueError, match="must hold a token"):
        read_secret(path)


@pytest.mark.parametrize(
    ("address", "parts"), [("10.0.0.1:8080", ("10.0.0.1", 8080)), ("[::]:9090", ("::", 9090))]
)
def test_addresses_are_split_at_the_last_colon(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts
