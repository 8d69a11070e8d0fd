"""An integration's webhook at its source: what is known of it, and what looking after it brought. Values only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Keep = Callable[[str, str], Awaitable[None]]
"""Stores a hook's secret, `(webhook id, secret)`, before anything else happens: from then on its deliveries count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook as its source shows it.

    Attributes:
        status: active, failing or suspended.
        fail_count: events lost for good.
        secret: None where the source does not show it.
        owner: the user whose token made it.
        scoped: it hears only a part of the workspace.
    """

    id: str
    endpoint: str
    events: tuple[str, ...] = ()
    status: str = "unknown"
    fail_count: int = 0
    secret: str | None = field(default=None, repr=False)
    owner: str | None = None
    scoped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tending:
    """How the hook should be, and what is known.

    Attributes:
        endpoint: where this integration's deliveries should go; None when nobody said, then they go where they go.
        aliases: other endpoints that reach this integration as well.
        events: what it should hear; None = whatever it hears, if that is enough.
        known: the valid secrets by webhook id.
        foreign: hooks of other integrations, never touched.
        last: the hook as last seen.
        silent: nothing was delivered since then that one of its secrets had signed, and they are not new.
        wanted: False = there should be none.
        rotate: exchange it for one with a new secret.
        act: False = only look.
        keep: stores a secret.
    """

    endpoint: str | None
    keep: Keep
    aliases: frozenset[str] = frozenset()
    events: tuple[str, ...] | None = None
    known: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)
    foreign: frozenset[str] = frozenset()
    last: Hook | None = None
    silent: bool = False
    wanted: bool = True
    rotate: bool = False
    act: bool = True


class Deed(NamedTuple):
    """Something done at the source, for the audit log."""

    action: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tended:
    """What came of it.

    Attributes:
        hook: the one there is now.
        deeds: what was done.
        blind: why events may have been lost since it was last seen healthy; None when nothing says so.
        problem: what is wrong and what to do, where it could not be mended.
    """

    hook: Hook | None
    deeds: Sequence[Deed] = ()
    blind: str | None = None
    problem: str | None = None
