"""A fingerprint: what a cached or finished thing was made of, in twelve digits."""

import hashlib
import json
from typing import Any

DIGITS = 12
"""Hexadecimal: among a million different things, any two share a fingerprint with a chance of one in 500."""


def fingerprint(*things: Any) -> str:
    """Twelve hexadecimal digits of SHA-256 over values that JSON has, whatever the order of keys.

    A path or a time of modification belongs in none: the same content elsewhere is the same. What JSON does not have
    (a path, a tensor) is a TypeError, a number that is not finite a ValueError.
    """
    text = json.dumps(things, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
