"""Taking a page of raw objects over: records of those that can be understood, and the others kept aside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from integrations.clickup.values import identity
from integrations.errands import Failure
from schema.records import Record

LARGEST_KEPT = 100_000
"""Octets of a raw object that are kept for people to look at."""


@dataclass(slots=True)
class Sieve:
    """What came through, and what did not and why. One bad object never holds the others.

    Attributes:
        listed: the objects come from listings of their containers.
    """

    listed: bool = False
    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def take(self, type_: str, raw: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Record]) -> bool:
        """Take one object over; whether it could be."""
        return self.take_all(type_, raw, lambda one: [read(one)])

    def take_all(self, type_: str, raw: Mapping[str, Any], read: Callable[[Mapping[str, Any]], list[Record]]) -> bool:
        """Take over an object that is several records."""
        try:
            found = read(raw)
        except Exception as error:
            self.refuse(type_, raw, error)
            return False
        self.records += [replace(record, listed=self.listed) for record in found]
        return True

    def refuse(self, type_: str, raw: Mapping[str, Any], error: Exception) -> None:
        """Keep an object aside: asking for it again would not help."""
        written = orjson.dumps(raw, option=orjson.OPT_SORT_KEYS, default=str)
        id_ = identity(raw.get("id")) or f"without id, digest {hashlib.sha256(written).hexdigest()[:12]}"
        kept = raw if len(written) <= LARGEST_KEPT else {"octets": len(written)}
        self.failures.append(Failure(type=type_, id=id_, reason=f"{type(error).__name__}: {error}"[:500], raw=kept))

    def unread(self, type_: str, id_: str, error: Exception) -> None:
        """Note an object that cannot be had now."""
        self.failures.append(Failure(type=type_, id=id_, reason=f"{type(error).__name__}: {error}"[:500]))
