"""Sealing of settings and secrets: AES-256-GCM, bound to the row it belongs to. Pure but for the nonce's source.

Promises: a sealed value opens only with its key and only in its own row; a flipped bit, a swapped row or a missing
key is a `SealError` and never plain text. Several keys may open, the first one seals (rotation). A sealed value is
`kb1` + key id (4 octets) + nonce (12) + ciphertext with tag. What pgcrypto sealed for an earlier system opens, too; it
names no key, and no row: until `keys rotate` seals it anew it would open in another row as well.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from integrations import openpgp

FORMAT: Final = b"kb1"
KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
KEY_ID_OCTETS: Final = 4
PGCRYPTO: Final = "pgcrypto"
UNKNOWN: Final = "unknown"
"""What stands for a key's id where a value names none."""
PASSPHRASE: Final = f"{PGCRYPTO}:"
"""Begins a part of INTEGRATION_ENCRYPTION_KEY that only opens what pgcrypto sealed."""


class SealError(Exception):
    """A key or a sealed value that does not fit; the message says which and what to do, never a value."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of the installation; the first one seals.

    Attributes:
        keys: 32 octets each.
        random: source of nonces, `random(n)` gives n octets.
        passphrases: of an earlier system, which gave its key to pgcrypto as the text it was written in.
    """

    keys: Sequence[bytes] = field(repr=False)
    random: Callable[[int], bytes] = os.urandom
    passphrases: Sequence[str] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str, *, random: Callable[[int], bytes] = os.urandom) -> Self:
        """Keys as configured: base64 or hex, several separated by commas. Raises `SealError`.

        Each is also a passphrase as it is written. One that is no key of ours is written `pgcrypto:PASSPHRASE`.
        """
        parts = list(enumerate((part.strip() for part in text.split(",") if part.strip()), start=1))
        keys = [_key(part, position) for position, part in parts if not part.startswith(PASSPHRASE)]
        if not keys:
            raise SealError("no encryption key is set; make one with `kb-ingest keys generate`")
        return cls(keys, random, [part.removeprefix(PASSPHRASE) for _, part in parts])

    def seal(self, plain: bytes, *, row: str) -> bytes:
        """Encrypt for one row; `row` names it, for example `integrations/<id>/settings`."""
        head = FORMAT + key_id(self.keys[0])
        nonce = self.random(NONCE_OCTETS)
        return head + nonce + AESGCM(self.keys[0]).encrypt(nonce, plain, head + row.encode())

    def open(self, sealed: bytes, *, row: str) -> bytes:
        """Decrypt what was sealed for that row, or by pgcrypto. Raises `SealError`."""
        if openpgp.recognized(sealed):
            return self._open_earlier(sealed, row)
        if not sealed.startswith(FORMAT):
            raise SealError(f"{row} is not sealed in a form that this version knows")
        head = sealed[: len(FORMAT) + KEY_ID_OCTETS]
        key = next((key for key in self.keys if key_id(key) == head[len(FORMAT) :]), None)
        if key is None:
            known = ", ".join(key_id(key).hex() for key in self.keys)
            raise SealError(
                f"{row} was sealed with key {head[len(FORMAT) :].hex()}, but only {known} is set; "
                "add the old key to INTEGRATION_ENCRYPTION_KEY after a comma"
            )
        nonce, body = sealed[len(head) : len(head) + NONCE_OCTETS], sealed[len(head) + NONCE_OCTETS :]
        try:
            return AESGCM(key).decrypt(nonce, body, head + row.encode())
        except (InvalidTag, ValueError) as error:
            raise SealError(f"{row} was altered or belongs to another row; restore it from a backup") from error

    def _open_earlier(self, sealed: bytes, row: str) -> bytes:
        try:
            return openpgp.decrypt(sealed, [passphrase.encode() for passphrase in self.passphrases])
        except openpgp.Locked as error:
            raise SealError(
                f"{row} was sealed by pgcrypto, and no key that is set opens it; add the earlier one to "
                f"INTEGRATION_ENCRYPTION_KEY after a comma, as {PASSPHRASE}... if it is neither hex nor base64"
            ) from error
        except openpgp.Unreadable as error:
            raise SealError(f"{row} was sealed by pgcrypto, but {error}; restore it from a backup") from error


def sealed_by(sealed: bytes) -> str:
    """The id of the key that a value says it was sealed with, in hex; `PGCRYPTO` or `UNKNOWN` where it says none."""
    if openpgp.recognized(sealed):
        return PGCRYPTO
    head = len(FORMAT) + KEY_ID_OCTETS
    return sealed[len(FORMAT) : head].hex() if sealed.startswith(FORMAT) and len(sealed) >= head else UNKNOWN


def key_id(key: bytes) -> bytes:
    """What names a key in a sealed value: tells nothing about it."""
    return hashlib.sha256(b"kb-ingest key id" + key).digest()[:KEY_ID_OCTETS]


def generate(random: Callable[[int], bytes] = os.urandom) -> str:
    """A new key, in base64."""
    return base64.b64encode(random(KEY_OCTETS)).decode()


def _key(text: str, position: int) -> bytes:
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_OCTETS else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise SealError(f"key {position} is neither hex nor base64") from error
    if len(key) != KEY_OCTETS:
        raise SealError(f"key {position} has {len(key)} octets, not {KEY_OCTETS}")
    return key
