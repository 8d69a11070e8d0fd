"""A sealed value opens with its key, in its row, unaltered, and in no other way; nothing that fails tells a secret."""

from __future__ import annotations

import base64
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.sealing import FORMAT, KEY_ID_OCTETS, NONCE_OCTETS, Keyring, SealError, generate, key_id

OLD, NEW = bytes(range(32)), bytes(range(100, 132))
ROW = "integrations/5d0c3c5e/settings"
PLAIN = b'{"token":"pk_48213377_SECRET","workspace_id":"90131007715"}'
HEAD = len(FORMAT) + KEY_ID_OCTETS

rows = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def told(error: BaseException) -> str:
    """Everything an error says when it is printed, causes included."""
    return "".join(traceback.format_exception(error))


def assert_tells_nothing(error: BaseException, *secrets: bytes) -> None:
    text = f"{error} {error!r} " + told(error).split("Error: ", 1)[-1]
    assert "\n" not in str(error)
    assert str(error)
    for secret in secrets:
        for form in (secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1]):
            assert form not in text


@given(plain=st.binary(max_size=300), row=rows, key=st.binary(min_size=32, max_size=32))
@settings(max_examples=60, deadline=None)
def test_round_trip(plain: bytes, row: str, key: bytes) -> None:
    """What was sealed for a row opens for that row with that key, whatever it is."""
    assert Keyring([key]).open(Keyring([key]).seal(plain, row=row), row=row) == plain


@given(row=rows, other=rows)
@settings(max_examples=60, deadline=None)
def test_other_row(row: str, other: str) -> None:
    """A value moved to another row does not open there."""
    sealed = Keyring([OLD]).seal(PLAIN, row=row)
    if row != other:
        with pytest.raises(SealError):
            Keyring([OLD]).open(sealed, row=other)


def test_every_flipped_bit_is_refused() -> None:
    """No bit of a sealed value can be flipped, in its head, nonce, ciphertext or tag."""
    ring = Keyring([OLD])
    sealed = ring.seal(PLAIN, row=ROW)
    assert len(sealed) == HEAD + NONCE_OCTETS + len(PLAIN) + 16
    for position in range(len(sealed)):
        for bit in range(8):
            altered = bytearray(sealed)
            altered[position] ^= 1 << bit
            with pytest.raises(SealError) as caught:
                ring.open(bytes(altered), row=ROW)
            assert_tells_nothing(caught.value, OLD, PLAIN)


@pytest.mark.parametrize("length", range(HEAD + NONCE_OCTETS + 17))
def test_every_cut_is_refused(length: int) -> None:
    """A value cut short anywhere is a SealError, not a crash."""
    ring = Keyring([OLD])
    with pytest.raises(SealError):
        ring.open(ring.seal(PLAIN, row=ROW)[:length], row=ROW)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda rest: FORMAT + key_id(OLD) + rest))
@settings(max_examples=100, deadline=None)
def test_bytes_nobody_sealed(sealed: bytes) -> None:
    """Arbitrary bytes, also behind a right head, are a SealError."""
    with pytest.raises(SealError):
        Keyring([OLD]).open(sealed, row=ROW)


def test_plain_text_is_not_taken_for_sealed() -> None:
    """Settings that were stored unsealed are refused, not read."""
    with pytest.raises(SealError, match=ROW) as caught:
        Keyring([OLD]).open(PLAIN, row=ROW)
    assert_tells_nothing(caught.value, OLD, PLAIN)


def test_missing_key_names_ids_only() -> None:
    """Without its key a value is refused by naming the row, the key's id and the ids there are."""
    sealed = Keyring([OLD]).seal(PLAIN, row=ROW)
    with pytest.raises(SealError) as caught:
        Keyring([NEW]).open(sealed, row=ROW)
    for named in (ROW, key_id(OLD).hex(), key_id(NEW).hex(), "INTEGRATION_ENCRYPTION_KEY"):
        assert named in str(caught.value)
    assert_tells_nothing(caught.value, OLD, NEW, PLAIN)


def test_rotation() -> None:
    """The first key seals, every key opens, and a dropped key opens no more."""
    before, during, after = Keyring([OLD]), Keyring([NEW, OLD]), Keyring([NEW])
    old, new = before.seal(PLAIN, row=ROW), during.seal(PLAIN, row=ROW)
    assert during.open(old, row=ROW) == during.open(new, row=ROW) == after.open(new, row=ROW) == PLAIN
    assert during.seal(during.open(old, row=ROW), row=ROW)[:HEAD] == FORMAT + key_id(NEW)
    with pytest.raises(SealError):
        after.open(old, row=ROW)
    with pytest.raises(SealError):
        before.open(new, row=ROW)


def test_nonces_come_from_the_source_and_differ() -> None:
    """Sealing twice gives different bytes; the nonce is what the given source said."""
    assert Keyring([OLD]).seal(PLAIN, row=ROW) != Keyring([OLD]).seal(PLAIN, row=ROW)
    sealed = Keyring([OLD], lambda count: b"n" * count).seal(PLAIN, row=ROW)
    assert sealed[HEAD : HEAD + NONCE_OCTETS] == b"n" * NONCE_OCTETS


@pytest.mark.parametrize(
    "text",
    [
        OLD.hex(),
        OLD.hex().upper(),
        base64.b64encode(OLD).decode(),
        f" {OLD.hex()} ",
        f"{OLD.hex()},",
        f"{OLD.hex()}, {base64.b64encode(NEW).decode()}",
        f",{base64.b64encode(OLD).decode()}\n,{NEW.hex()}",
    ],
)
def test_key_texts(text: str) -> None:
    """Keys are taken as hex or base64, with blanks and empty parts between commas; the order is kept."""
    sealed = Keyring([OLD]).seal(PLAIN, row=ROW)
    ring = Keyring.parse(text)
    assert ring.open(sealed, row=ROW) == PLAIN
    assert ring.seal(PLAIN, row=ROW)[:HEAD] == sealed[:HEAD]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no encryption key is set"),
        (" , ,\n", "no encryption key is set"),
        (OLD.hex()[:-2], "key 1"),
        (OLD.hex() + "00", "key 1"),
        ("z" + OLD.hex()[1:], "key 1"),
        (base64.b64encode(OLD[:31]).decode(), "key 1 has 31 octets"),
        (base64.b64encode(OLD + b"x").decode(), "key 1 has 33 octets"),
        (base64.b64encode(OLD).decode()[:-1], "key 1"),
        (base64.b64encode(OLD).decode().replace("A", "Ä"), "key 1"),
        (f"{OLD.hex()},change-me-to-something-secret-at-least-32", "key 2"),
        (f"{OLD.hex()},{NEW.hex()},correct horse battery staple", "key 3"),
    ],
)
def test_bad_key_texts(text: str, said: str) -> None:
    """A bad key is refused in one line that says which one and what to do, and quotes none of it."""
    with pytest.raises(SealError, match=said) as caught:
        Keyring.parse(text)
    assert_tells_nothing(caught.value, OLD, NEW)
    for part in text.split(","):
        if part.strip():
            assert part.strip() not in told(caught.value)


@given(st.text(max_size=100) | st.text("0123456789abcdefABCDEF+/=, ", max_size=100))
@settings(max_examples=100, deadline=None)
def test_any_key_text(text: str) -> None:
    """Any text is a keyring or a SealError of one line without the text in it."""
    said = refusal(text)
    assert "\n" not in said
    assert len(text.strip()) < 8 or text.strip() not in said


def refusal(text: str) -> str:
    """What is wrong with a key text; nothing if it is a keyring that works."""
    try:
        ring = Keyring.parse(text)
    except SealError as error:
        return str(error)
    return "" if ring.open(ring.seal(PLAIN, row=ROW), row=ROW) == PLAIN else "\n"


def test_no_secret_in_a_repr() -> None:
    """A keyring's repr does not show its keys, however it is printed."""
    shown = f"{Keyring([OLD, NEW])!r} {Keyring([OLD, NEW])} {[Keyring.parse(OLD.hex())]}"
    for key in (OLD, NEW):
        for form in (key.hex(), base64.b64encode(key).decode(), repr(key)):
            assert form not in shown


def test_key_id_is_not_a_part_of_the_key() -> None:
    """A key's id is short, stable, different for different keys, and not cut from the key."""
    assert len(key_id(OLD)) == KEY_ID_OCTETS
    assert key_id(OLD) == key_id(OLD) != key_id(NEW)
    assert key_id(OLD) not in OLD


def test_generated_keys() -> None:
    """A generated key is one that `parse` takes, and the next one is another."""
    one, two = generate(), generate()
    assert one != two
    assert Keyring.parse(f"{one},{two}").open(Keyring.parse(one).seal(PLAIN, row=ROW), row=ROW) == PLAIN
