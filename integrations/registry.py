"""The providers: each is a folder here with a `provider.py` that ends in `PROVIDER`. Adding one changes nothing else.

A provider owns both ends of its own knowledge: how it signs and what its deliveries say (pure), how to look at what
they are about (`look`), how to walk over everything (`walk`), and how to keep its webhook in order (`tend`).
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import integrations
from integrations.access import Access
from integrations.errands import Errand, Page
from integrations.hooks import Tended, Tending
from schema.records import Amendment, Look, Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a genuine delivery is, for routing.

    Attributes:
        type: the event's type, `<provider>.<entity>.<action>` or `<provider>.unrecognized`.
        subject: what it is about.
        distinct: whether different changes have different bytes, so that equal bytes are the same change again.
    """

    type: str
    subject: str | None
    distinct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a delivery says by itself, before its source is asked.

    Attributes:
        ref: the object it is about; None when it says nothing we understand.
        read: what is read to apply it: deliveries with the same `read` are satisfied by one look. None: nothing is.
        changed_at: when the source made the change, if it says so and can be believed.
        amendments: what it states outright.
        complete: whether that is all it tells of, so that reading is a confirmation and can wait.
        shared: whether a look made for another delivery with the same `read` finds all that this one tells of.
    """

    ref: Ref | None = None
    read: Ref | None = None
    changed_at: datetime | None = None
    amendments: tuple[Amendment, ...] = ()
    complete: bool = False
    shared: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One delivery to be looked into."""

    event_id: UUID
    received_at: datetime
    body: bytes


class Impossible(Exception):
    """A delivery that can never be applied; the message says why."""


class NotNow(Exception):
    """The source cannot be asked now; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One kind of source.

    Attributes:
        name: of the folder, in addresses, in event types.
        display_name: for people.
        signature_header: lower case.
        genuine: `(body, header value, secrets)`: whether one of them signed the body.
        webhook_ids: the hooks a body claims to come from, looked up before anything is trusted.
        describe: what a genuine body is, for routing; never fails.
        preview: `(body, when it was received)`: what a genuine body says by itself; never fails.
        look: ask the source about deliveries; what it says now, and by event id why some could not be looked into:
            `Impossible` or `NotNow`.
        walk: go over the source, see `integrations.errands`. Raises `Impossible` or `NotNow`; what was yielded counts.
        confirm: read these objects by their ids: records of those there are, tombstones of those that are not.
            Raises `Impossible` or `NotNow`; what could not be read is in neither.
        tend: look at the webhook and put it in order, see `integrations.hooks`. Raises `Impossible` or `NotNow`.
        secret_settings: names of settings that are never shown.
    """

    name: str
    display_name: str
    description: str
    signature_header: str
    genuine: Callable[[bytes, bytes, Iterable[str]], bool]
    webhook_ids: Callable[[bytes], Sequence[str]]
    describe: Callable[[bytes], Description]
    preview: Callable[[bytes, datetime], Preview]
    look: Callable[[Sequence[Delivered], Access], Awaitable[tuple[Look, Mapping[UUID, Exception]]]]
    walk: Callable[[Errand, Access], AsyncIterator[Page]]
    confirm: Callable[[Collection[Ref], Access], Awaitable[Look]]
    tend: Callable[[Tending, Access], Awaitable[Tended]]
    secret_settings: frozenset[str]


@functools.cache
def providers() -> Mapping[str, Provider]:
    """All providers by name. Raises `ValueError` when a folder and its provider's name differ."""
    found: dict[str, Provider] = {}
    for module in pkgutil.iter_modules(integrations.__path__):
        if module.ispkg:
            provider: Provider = importlib.import_module(f"integrations.{module.name}.provider").PROVIDER
            if provider.name != module.name:
                raise ValueError(f"integrations/{module.name} calls itself {provider.name}")
            found[provider.name] = provider
    return found


MASK: Final = "****"
SECRETIVE: Final = re.compile("token|secret|password|key|credential|authentication", re.IGNORECASE)
"""Names of settings that sound like a secret: an earlier system may have left more than a provider knows."""


def masked(provider: Provider, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they may leave: of a secret its first and last four characters, if it is long enough for that."""

    def mask(value: object) -> str:
        written = str(value)
        return written[:4] + MASK + written[-4:] if len(written) >= 16 else MASK

    secret = {name for name in settings if name in provider.secret_settings or SECRETIVE.search(name)}
    return {name: mask(value) if name in secret else value for name, value in settings.items()}
