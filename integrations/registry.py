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
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import integrations
from integrations.access import Access
from integrations.errands import Errand, Page
from integrations.hooks import Tended, Tending
from integrations.settings import Setting, mask
from schema.records import Amendment, Look, Ref


class Description(NamedTuple):
    """What a genuine delivery is, for routing.

    Attributes:
        type: the event's type, `<provider>.<entity>.<action>` or `<provider>.unrecognized`.
        subject: what it is about.
        distinct: whether different changes have different bytes, so that equal bytes are the same change again.
    """

    type: str
    subject: str | None
    distinct: bool


class Preview(NamedTuple):
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


CAPABILITIES: Final[Mapping[str, str]] = {
    "supportsImport": "Import",
    "supportsWebhooks": "Webhooks",
    "supportsIncrementalSync": "Incremental sync",
    "supportsBidirectionalSync": "Bi-directional sync",
    "requiresOAuth": "OAuth",
}
"""What a provider may be able to do, each in words for people."""


class Choice(NamedTuple):
    """One of several to choose from."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What trying out settings found.

    Attributes:
        message: what was found, or what is wrong and what to do.
        choices: what there is to choose from, by the name a setting has for it (`Setting.choices`).
    """

    good: bool
    message: str
    choices: Mapping[str, Sequence[Choice]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A part of the source that can be chosen by itself, with what is in it.

    Attributes:
        type: its `external_type`.
        items: how many things are in it, as the source says, if it does.
    """

    type: str
    id: str
    name: str
    items: int | None = None
    archived: bool = False
    containers: Sequence[Container] = ()


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
        probe: try the settings out before they are saved, and see what there is to choose from. Never raises for the
            source's sake.
        structure: the containers of the source, to choose from.
            Raises `Impossible` or `NotNow`.
        settings: what it wants to be told, in the order of a form.
        capabilities: what it can do, as words of `CAPABILITIES`.
        touches: the data it reads, in words for whoever connects it.
        logo: an SVG document.
    """

    name: str
    display_name: str
    description: str
    settings: tuple[Setting, ...]
    capabilities: frozenset[str]
    touches: tuple[str, ...]
    logo: str = field(repr=False)
    signature_header: str
    genuine: Callable[[bytes, bytes, Iterable[str]], bool]
    webhook_ids: Callable[[bytes], Sequence[str]]
    describe: Callable[[bytes], Description]
    preview: Callable[[bytes, datetime], Preview]
    look: Callable[[Sequence[Delivered], Access], Awaitable[tuple[Look, Mapping[UUID, Exception]]]]
    walk: Callable[[Errand, Access], AsyncIterator[Page]]
    confirm: Callable[[Collection[Ref], Access], Awaitable[Look]]
    tend: Callable[[Tending, Access], Awaitable[Tended]]
    probe: Callable[[Access], Awaitable[Probe]]
    structure: Callable[[Access], Awaitable[Sequence[Container]]]


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


SECRETIVE: Final = re.compile("token|secret|password|key|credential|authentication", re.IGNORECASE)
"""Names of settings that sound like a secret: an earlier system may have left more than a provider declares."""


def masked(provider: Provider, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they may leave: of each secret what `mask` leaves of it."""
    secret = {one.name: one.kind == "secret" for one in provider.settings}
    return {
        name: mask(value) if secret.get(name, SECRETIVE.search(name) is not None) else value
        for name, value in settings.items()
    }
