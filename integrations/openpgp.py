"""OpenPGP messages encrypted with a passphrase (RFC 4880), as pgcrypto's `pgp_sym_encrypt` writes them. Pure.

Promises: plain text comes out only of a message that proves itself unaltered (its modification detection code);
whatever the bytes are, the end is plain text or `Unreadable`, within bounds of time and memory. It reads AES only, and
what pgcrypto can write with it: any of its options for the passphrase, the session key and compression.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

MOST_OCTETS: Final = 1024 * 1024
"""Of plain text: settings are far shorter, and a message that unpacks to more is made to do harm."""

SESSION_KEY, COMPRESSED, WEAK, LITERAL, PROTECTED, CODE = 3, 8, 9, 11, 18, 19
"""Tags of packets. WEAK is encrypted data without a modification detection code (PROTECTED ends in it)."""

KEY_OCTETS: Final = {7: 16, 8: 24, 9: 32}
"""AES-128, AES-192 and AES-256 by their numbers."""
DIGESTS: Final[dict[int, Callable[[bytes], hashlib._Hash]]] = {2: hashlib.sha1, 8: hashlib.sha256}
WINDOW_BITS: Final = {1: -zlib.MAX_WBITS, 2: zlib.MAX_WBITS}
"""ZIP and ZLIB."""
BLOCK: Final = 16
CODE_HEAD: Final = bytes([0xC0 | CODE, 20])
ARMOR: Final = "-----BEGIN PGP MESSAGE-----"


class Unreadable(Exception):
    """A message that gives no plain text; the message of this says why and quotes nothing of it."""


class Locked(Unreadable):
    """None of the passphrases fits."""


def recognized(message: bytes) -> bool:
    """Whether these bytes begin as a message with a passphrase does."""
    return message[:1] in (b"\xc3", b"\x8c", b"\x8d", b"\x8e")


def written(text: str) -> bytes | None:
    """The message in a column of text: in PostgreSQL's hex form, or armored; None when the text is something else."""
    try:
        if text.startswith("\\x"):
            message = bytes.fromhex(text[2:])
        elif text.startswith(ARMOR):
            lines = text.replace("\r", "").partition("\n\n")[2].partition("\n=")[0]
            message = base64.b64decode(lines)
        else:
            return None
    except (ValueError, binascii.Error):
        return None
    return message if recognized(message) else None


def decrypt(message: bytes, passphrases: Iterable[bytes], *, most: int = MOST_OCTETS) -> bytes:
    """The plain text, by the first passphrase that fits.

    Raises:
        Locked: none of them does, or the part that tells it was altered.
        Unreadable: the message was altered, is larger than `most`, or is none that pgcrypto writes with AES.
    """
    head, body = _two(list(_packets(message)))
    reasons: list[Unreadable] = []
    for passphrase in passphrases:
        try:
            return _literal(_packets(_unlocked(body, *_session_key(head, passphrase))), most)
        except Unreadable as error:
            reasons.append(error)
    raise next((error for error in reasons if not isinstance(error, Locked)), Locked("no passphrase opens it"))


def _two(packets: list[tuple[int, bytes]]) -> tuple[bytes, bytes]:
    """The packet that tells how to get the key, and the encrypted one."""
    match packets:
        case [(tag, head), (last, body)] if tag == SESSION_KEY and last == PROTECTED and body[:1] == b"\x01":
            return head, body[1:]
        case [_, (last, _)] if last == WEAK:
            raise Unreadable("it carries no code that would prove it unaltered (pgcrypto's disable-mdc)")
        case _:
            raise Unreadable("it is not one message encrypted with one passphrase")


def _packets(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet, whatever form its length has."""
    at = 0
    while at < len(octets):
        first = octets[at]
        if not first & 0x80:
            raise Unreadable("it is cut or altered: no packet begins where one should")
        if first & 0x40:
            body, at = _new_body(octets, at + 1)
            yield first & 0x3F, body
        else:
            width = (1, 2, 4, 0)[first & 3]
            length = int.from_bytes(octets[at + 1 : at + 1 + width]) if width else len(octets)
            begin = at + 1 + width
            at = begin + length if width else len(octets)
            yield (first >> 2) & 0x0F, _part(octets, begin, at)


def _new_body(octets: bytes, at: int) -> tuple[bytes, int]:
    """The body after a new-format tag, its parts joined, and where the next packet begins."""
    parts = bytearray()
    while True:
        (first,) = _part(octets, at, at + 1)
        if first < 192:
            length, begin = first, at + 1
        elif first < 224:
            length, begin = ((first - 192) << 8) + _part(octets, at + 1, at + 2)[0] + 192, at + 2
        elif first == 255:
            length, begin = int.from_bytes(_part(octets, at + 1, at + 5)), at + 5
        else:
            length, begin = 1 << (first & 0x1F), at + 1
        parts += _part(octets, begin, begin + length)
        at = begin + length
        if not 224 <= first < 255:
            return bytes(parts), at


def _part(octets: bytes, begin: int, end: int) -> bytes:
    if end > len(octets):
        raise Unreadable("it is cut or altered: a packet is longer than what there is")
    return octets[begin:end]


def _session_key(head: bytes, passphrase: bytes) -> tuple[int, bytes]:
    """The cipher and the key of the encrypted packet. Raises `Locked` where it shows already that it is not right."""
    if len(head) < 4 or head[0] != 4:
        raise Unreadable("its key packet is of an unknown version")
    cipher, mode, digest = head[1], head[2], DIGESTS.get(head[3])
    if cipher not in KEY_OCTETS:
        raise Unreadable("it is not encrypted with AES")
    salt_octets = {0: 0, 1: 8, 3: 8}.get(mode)
    if salt_octets is None or digest is None:
        raise Unreadable("its passphrase is digested in an unknown way")
    salt, rest = _part(head, 4, 4 + salt_octets), head[4 + salt_octets :]
    count = 0
    if mode == 3:
        (coded,), rest = _part(rest, 0, 1), rest[1:]
        count = (16 + (coded & 15)) << ((coded >> 4) + 6)
    key = _digested(salt + passphrase, count, digest, KEY_OCTETS[cipher])
    if not rest:
        return cipher, key
    wrapped = _cfb(key, rest)  # pgcrypto's sess-key: the key is another one, encrypted with this one
    if KEY_OCTETS.get(wrapped[0]) != len(wrapped) - 1:
        raise Locked("the passphrase does not open its session key")
    return wrapped[0], wrapped[1:]


def _digested(seed: bytes, count: int, digest: Callable[[bytes], hashlib._Hash], octets: int) -> bytes:
    """The passphrase as a key: digested over `count` octets of its repetition, until there is enough key."""
    whole, odd = divmod(max(count, len(seed)), len(seed) or 1)
    block = seed * min(whole, 1024)
    key, turn = b"", 0
    while len(key) < octets:
        state = digest(bytes(turn))
        for _ in range(whole // 1024):
            state.update(block)
        state.update(seed * (whole % 1024) + seed[:odd])
        key += state.digest()
        turn += 1
    return key[:octets]


def _cfb(key: bytes, octets: bytes) -> bytes:
    decryptor = Cipher(AES(key), CFB(bytes(BLOCK))).decryptor()
    return decryptor.update(octets) + decryptor.finalize()


def _unlocked(body: bytes, cipher: int, key: bytes) -> bytes:
    """The packets inside, proven unaltered."""
    if len(body) < BLOCK + 2 + len(CODE_HEAD) + 20:
        raise Unreadable("it is cut: too short for what it should hold")
    clear = _cfb(key[: KEY_OCTETS[cipher]], body)
    if clear[BLOCK - 2 : BLOCK] != clear[BLOCK : BLOCK + 2]:
        raise Locked("the passphrase does not open it")
    inner, code = clear[:-20], clear[-20:]
    proven = hmac.compare_digest(hashlib.sha1(inner, usedforsecurity=False).digest(), code)
    if not proven or not inner.endswith(CODE_HEAD):
        raise Unreadable("it was altered: its modification detection code does not fit")
    return inner[BLOCK + 2 : -len(CODE_HEAD)]


def _literal(packets: Iterable[tuple[int, bytes]], most: int, *, packed: bool = True) -> bytes:
    """The text of the one literal packet there is, unpacked if it is `packed`."""
    match list(packets):
        case [(tag, body)] if tag == COMPRESSED and packed and body:
            return _literal(_packets(_unpacked(body, most)), most, packed=False)
        case [(tag, body)] if tag == LITERAL and len(body) >= 2 and body[:1] in b"btu":
            text = _part(body, 2 + body[1] + 4, len(body)) if len(body) >= 6 + body[1] else None
            if text is not None and len(text) <= most:
                return text
    raise Unreadable("it holds no text that this version reads")


def _unpacked(body: bytes, most: int) -> bytes:
    if body[0] == 0:
        return body[1:]
    if body[0] not in WINDOW_BITS:
        raise Unreadable("it is packed in an unknown way")
    unpacker = zlib.decompressobj(WINDOW_BITS[body[0]])
    try:
        octets = unpacker.decompress(body[1:], most + 1024)
    except zlib.error as error:
        raise Unreadable("what it holds cannot be unpacked") from error
    if not unpacker.eof:
        raise Unreadable(f"it is cut, or unpacks to more than {most} octets")
    return octets
