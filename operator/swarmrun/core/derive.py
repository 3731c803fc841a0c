"""Secrets that need not be stored: derived from one install key, the run and the purpose.

Whoever holds the install key can make a run's token or password again at any time, so nobody has to read a
Secret back, and the secrets of two runs or two purposes tell nothing about each other.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

#: Shorter keys could be guessed offline from one token.
MIN_KEY_BYTES: Final = 16


def derive(install_key: bytes, uid: str, purpose: str) -> str:
    """Return 64 hex digits for (run, purpose): HMAC-SHA-256 under the install key.

    Raises:
        ValueError: the key is too short, or `uid` or `purpose` is empty.
    """
    if len(install_key) < MIN_KEY_BYTES:
        raise ValueError(f"the install key must have at least {MIN_KEY_BYTES} bytes, got {len(install_key)}")
    if not uid or not purpose:
        raise ValueError("uid and purpose must not be empty")
    # The length in front keeps ("ab", "c") and ("a", "bc") apart.
    message = f"{len(uid)}:{uid}:{purpose}".encode()
    return hmac.new(install_key, message, hashlib.sha256).hexdigest()
