"""Ids that look like ClickUp's, never twice the same, all from one random generator so that a seed repeats them.

Lengths and alphabets follow what is seen on real workspaces: 11 and 12 digits for spaces, folders and lists, nine
letters and digits for tasks, 14 digits for comments, 19 digits for history (fits 64 bits, exceeds 2^53), else uuid.
"""

import random
import string
import uuid

_BASE36 = string.digits + string.ascii_lowercase
_SECRET = string.ascii_uppercase + string.digits


class Ids:
    """Hands out ids; counters only grow, by small random steps."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._next = {
            "team": 90_131_000_000 + source.randrange(1_000_000),
            "space": 90_132_000_000 + source.randrange(1_000_000),
            "folder": 90_135_000_000 + source.randrange(1_000_000),
            "list": 901_300_000_000 + source.randrange(100_000_000),
            "user": 48_000_000 + source.randrange(900_000),
            "task": int("868c00000", 36) + source.randrange(1_000_000),
            "comment": 90_130_000_000_000 + source.randrange(1_000_000_000),
            "history": 4_719_000_000_000_000_000 + source.randrange(10**15),
        }

        self._papers = 0

    def number(self, kind: str) -> str:
        """The next id of a kind that ClickUp writes as digits."""
        step = 10**9 if kind == "history" else 97
        self._next[kind] += self._random.randint(1, step)
        return str(self._next[kind])

    def task(self) -> str:
        """The next task id, for example 868cq4m2x."""
        return _base36(int(self.number("task")))

    def paper(self, team_id: str) -> str:
        """The next id of a doc or page, for example 8cq4m2x-4775."""
        self._papers += self._random.randint(1, 97)
        return f"{_base36(int(team_id))}-{self._papers}"

    def uuid(self) -> str:
        """A version 4 uuid out of the seeded generator."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def secret(self) -> str:
        """64 characters of A-Z and 0-9, the form of ClickUp's webhook secrets (official sample)."""
        return "".join(self._random.choices(_SECRET, k=64))

    def status(self, space_id: str) -> str:
        """A status id, for example p90131120077_a1B2c3D4."""
        return f"p{space_id}_" + "".join(self._random.choices(string.ascii_letters + string.digits, k=8))


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _BASE36[digit] + text
    return text
