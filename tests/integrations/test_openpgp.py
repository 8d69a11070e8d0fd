"""What pgcrypto wrote is read, whatever its options; nothing else is, and no bytes do harm."""

from __future__ import annotations

import zlib
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations import openpgp
from integrations.openpgp import Locked, Unreadable

RECORDED: Final[dict[str, Any]] = orjson.loads((Path(__file__).parent / "pgcrypto.json").read_bytes())
"""Written by pgcrypto itself, by the options it was given."""
GOOD: Final = {options: bytes.fromhex(text) for options, text in RECORDED["good"].items()}
BAD: Final = {options: bytes.fromhex(text) for options, text in RECORDED["bad"].items()}
PLAIN: Final = RECORDED["plain"].encode()
RIGHT: Final = RECORDED["passphrase"].encode()
QUICK: Final = GOOD["cipher-algo=aes256, s2k-count=1024"]


@pytest.mark.parametrize("options", GOOD)
def test_what_pgcrypto_writes(options: str) -> None:
    """Every option of pgcrypto that leaves the message AES and proven is read; of several passphrases one fits."""
    assert openpgp.recognized(GOOD[options])
    assert openpgp.decrypt(GOOD[options], [b"another", RIGHT]) == PLAIN


@pytest.mark.parametrize("options", GOOD)
def test_the_wrong_passphrase(options: str) -> None:
    """Without the passphrase there is no plain text, and the error says that this is what is missing."""
    with pytest.raises(Locked):
        openpgp.decrypt(GOOD[options], [b"another", RIGHT[:-1], b""])
    with pytest.raises(Locked):
        openpgp.decrypt(GOOD[options], [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("cipher-algo=aes256, disable-mdc=1", "prove it unaltered"),
        ("cipher-algo=aes256, s2k-digest-algo=md5", "unknown way"),
        ("cipher-algo=bf", "not encrypted with AES"),
        ("bomb", "unpacks to more"),
    ],
)
def test_what_is_refused(options: str, said: str) -> None:
    """A message that proves nothing, is weakly encrypted, or unpacks to far more than settings are, is refused."""
    with pytest.raises(Unreadable, match=said):
        openpgp.decrypt(BAD[options], [RIGHT])


def test_every_flipped_bit_is_refused() -> None:
    """No bit can be flipped: in the packets' heads, the salt, the prefix, the text or the code."""
    for position in range(len(QUICK)):
        for bit in range(8):
            altered = bytearray(QUICK)
            altered[position] ^= 1 << bit
            with pytest.raises(Unreadable) as caught:
                openpgp.decrypt(bytes(altered), [RIGHT])
            assert "pk_" not in str(caught.value)


def test_every_cut_and_every_addition_is_refused() -> None:
    """A message cut short anywhere, or longer than it was, is refused."""
    for length in range(len(QUICK)):
        with pytest.raises(Unreadable):
            openpgp.decrypt(QUICK[:length], [RIGHT])
    for more in (b"\x00", b"\xcb\x00", QUICK):
        with pytest.raises(Unreadable):
            openpgp.decrypt(QUICK + more, [RIGHT])


def outcome(message: bytes) -> bytes | None:
    """The plain text, or None when the message was refused as it should be; anything else is raised."""
    try:
        return openpgp.decrypt(message, [RIGHT], most=4096)
    except Unreadable:
        return None


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"\xc3\x0d\x04\x09\x03\x02" + rest))
@settings(max_examples=200, deadline=None)
def test_any_bytes(message: bytes) -> None:
    """Bytes that nobody wrote are refused, and nothing else happens."""
    assert outcome(message) is None
    assert openpgp.written("\\x" + message.hex()) in (message, None)


@given(inner=st.binary(max_size=80), kind=st.sampled_from([b"", b"\xcb\x20b\x00", b"\xc8\x20\x01", b"\xa3\x02"]))
@settings(max_examples=200, deadline=None)
def test_any_packets_inside(inner: bytes, kind: bytes) -> None:
    """Whatever was encrypted and proven with the passphrase gives a text or is refused."""
    outcome(sealed(kind + inner))


def sealed(inner: bytes) -> bytes:
    """A message around these packets, made as pgcrypto makes it."""
    salt = b"saltsalt"
    key = (sha1(salt + RIGHT).digest() + sha1(b"\x00" + salt + RIGHT).digest())[:32]  # noqa: S324
    clear = b"p" * 16 + b"pp" + inner + b"\xd3\x14"
    clear += sha1(clear).digest()  # noqa: S324
    encryptor = Cipher(AES(key), CFB(bytes(16))).encryptor()
    body = b"\x01" + encryptor.update(clear) + encryptor.finalize()
    return b"\xc3\x0c\x04\x09\x01\x02" + salt + b"\xd2\xff" + len(body).to_bytes(4) + body


def test_the_forms_of_a_text_inside() -> None:
    """The text of a packet is taken whatever form its length has, in one packet or in a packed one, and not deeper."""
    literal = b"\xcb\x0ab\x00\x00\x00\x00\x00text"
    packed = b"\x02" + zlib.compress(literal)
    for inner in (
        literal,
        b"\xac\x0a" + literal[2:],
        b"\xad\x00\x0a" + literal[2:],
        b"\xcb\xe3b\x00\x00\x00\x00\x00te\x02xt",
        bytes([0xC8, len(packed)]) + packed,
        b"\xa3" + packed,
        b"\xa3\x00" + literal,
    ):
        assert outcome(sealed(inner)) == b"text"
    for inner in (literal + literal, b"\xa3\x00\xa3\x00" + literal, b"", b"\xcb\x00", b"\xcb\x06b\x09text", b"\xcb"):
        assert outcome(sealed(inner)) is None


def test_messages_in_a_column_of_text() -> None:
    """A message in PostgreSQL's hex or armored is found; a plain secret is not taken for one."""
    assert openpgp.written("\\x" + QUICK.hex()) == QUICK
    armored = RECORDED["armored"]
    for text in (armored, armored.replace("\n", "\r\n"), armored + "\n"):
        message = openpgp.written(text)
        assert message is not None
        assert openpgp.decrypt(message, [RIGHT]) == PLAIN
    for plain in ("K7Q2M9XWZ4T1R8V3", "", "\\x", "\\xzz", "\\x00", QUICK.hex(), "-----BEGIN PGP MESSAGE-----"):
        assert openpgp.written(plain) is None
