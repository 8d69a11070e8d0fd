"""What the hooks that ClickUp lists need: a plan, made without asking anybody. Pure.

Promises: hooks of others are never touched; at the end of a plan there is one hook of ours, of the whole workspace,
with a secret we know, delivering where somebody said; a plan that was carried out leaves nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from integrations.hooks import Hook, Tending

ALL: Final = ("*",)
MINIMAL: Final = (
    "taskCreated", "taskUpdated", "taskDeleted", "taskMoved", "taskCommentPosted", "taskCommentUpdated",
    "listCreated", "listUpdated", "listDeleted", "folderCreated", "folderUpdated", "folderDeleted",
    "spaceCreated", "spaceUpdated", "spaceDeleted", "goalCreated", "goalUpdated", "goalDeleted",
    "keyResultCreated", "keyResultUpdated", "keyResultDeleted",
)  # fmt: skip
"""Loses nothing: every other event comes with a taskUpdated (official), which halves the deliveries."""
EVERY: Final = (
    *MINIMAL, "taskPriorityUpdated", "taskStatusUpdated", "taskAssigneeUpdated", "taskDueDateUpdated",
    "taskTagUpdated", "taskTimeEstimateUpdated", "taskTimeTrackedUpdated",
)  # fmt: skip
"""What `*` may be listed as."""
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"all": ALL, "minimal": MINIMAL}
FORMS: Final = 9
"""Ways to write an endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do: keep one hook or create one in its stead, mend it, remove the others.

    Attributes:
        keep: the hook there is, if any.
        create: the endpoint of a new one.
        remove: in the end.
        mend: the hook as it should be.
        store: its secret is new to us.
        why: what is done.
        blind: why events may have been lost.
        problem: what cannot be mended.
    """

    keep: Hook | None = None
    create: str | None = None
    remove: tuple[Hook, ...] = ()
    mend: Hook | None = None
    store: bool = False
    why: tuple[str, ...] = ()
    blind: str | None = None
    problem: str | None = None


def diagnose(hooks: Sequence[Hook], tending: Tending) -> Plan:
    """What the hooks of this user in this workspace need."""
    places = _places(hooks, tending)
    ours = sorted((hook for hook in hooks if _is_ours(hook, tending, places)), key=lambda hook: _rank(hook, tending))
    if not tending.wanted:
        return Plan(remove=tuple(ours))
    best, last = (ours[0] if ours else None), tending.last
    seen = best or last
    endpoint = tending.endpoint or (seen.endpoint if seen else None)
    if best is None:
        if endpoint is None:
            return Plan(problem="nobody says where a new hook should deliver to: set PUBLIC_URL or give --url")
        gone = "there was no hook" if last is None else "the hook was gone"
        return Plan(create=_free(endpoint, hooks), why=("registered",), blind=gone)
    why, blind = _faults(best, tending)
    if (exchange := _exchange(best, tending)) is not None:
        action, finding = exchange
        found = "; ".join(filter(None, (finding, *blind))) or None
        return Plan(keep=best, create=_free(endpoint or "", hooks), remove=tuple(ours), why=(action,), blind=found)
    others = [hook for hook in hooks if hook is not best]
    mended = replace(
        best,
        endpoint=_free(endpoint or "", others) if "moved" in why else best.endpoint,
        events=events_for(best, tending),
        status="active",
    )
    return Plan(
        keep=best,
        remove=tuple(ours[1:]),
        mend=mended if {"moved", "reactivated", "events_changed"} & {*why} else None,
        store=_is_new(best, tending),
        why=tuple(why),
        blind="; ".join(blind) or None,
    )


def _faults(best: Hook, tending: Tending) -> tuple[list[str], list[str]]:
    """What is to be done about a hook, and why events may have been lost."""
    why: list[str] = []
    blind: list[str] = []
    last = tending.last
    if _is_new(best, tending):
        changed = best.id in tending.known
        why.append("secret_changed" if changed else "adopted")
        blind.append("the hook's secret had changed" if changed else "the hook was not ours before")
    if not _reaches(best, tending):
        why.append("moved")
        blind.append("the hook delivered to another address")
    if best.status == "suspended":
        why.append("reactivated")
        blind.append("the hook was suspended")
    elif best.fail_count and (last is None or best.fail_count != last.fail_count):
        blind.append(f"ClickUp gave up on {best.fail_count} events")
    if not _same(best.events, events_for(best, tending)):
        why.append("events_changed")
        if not _enough(best.events):
            blind.append("the hook did not hear everything")
    return why, blind


def _exchange(best: Hook, tending: Tending) -> tuple[str, str | None] | None:
    """Why a hook cannot be mended and needs another one in its stead: the action, and what may be lost by it."""
    last = tending.last if tending.last is not None and tending.last.id == best.id else None
    if not _usable(best, tending):
        return "registered", "the hook's secret is unknown"
    if best.scoped:
        return "widened", "the hook heard only a part of the workspace"
    if best.status == "suspended" and last is not None and last.status == "suspended":
        return "recreated", "the hook stayed suspended"
    # any delivery that we had believed would have set the count back to zero
    if best.secret is None and tending.silent and last is not None and best.fail_count > last.fail_count:
        return "recreated", "nothing that the hook sent was signed with a secret we know"
    return ("rotated", None) if tending.rotate else None


def _places(hooks: Sequence[Hook], tending: Tending) -> set[str]:
    """Where our deliveries go: where somebody said, and where hooks whose secrets we know deliver to."""
    known = {hook.endpoint for hook in hooks if hook.id in tending.known and hook.id not in tending.foreign}
    said = {tending.endpoint, tending.last and tending.last.endpoint, *tending.aliases}
    return {_base(one) for one in known | said if one}


def _is_ours(hook: Hook, tending: Tending, places: Collection[str]) -> bool:
    return hook.id not in tending.foreign and (hook.id in tending.known or _base(hook.endpoint) in places)


def _reaches(hook: Hook, tending: Tending) -> bool:
    """Whether it delivers where it should; if nobody said where, it does."""
    said = tending.endpoint
    return said is None or _base(hook.endpoint) in {_base(one) for one in (said, *tending.aliases)}


def _usable(hook: Hook, tending: Tending) -> bool:
    return hook.secret is not None or bool(tending.known.get(hook.id))


def _is_new(hook: Hook, tending: Tending) -> bool:
    return hook.secret is not None and hook.secret not in tending.known.get(hook.id, frozenset())


def events_for(hook: Hook, tending: Tending) -> tuple[str, ...]:
    """What this hook, or one in its stead, should hear."""
    if tending.events is not None:
        return tending.events
    return hook.events if _enough(hook.events) else ALL


def _enough(events: Collection[str]) -> bool:
    """Whether who hears these misses nothing; none named are all (official)."""
    return not events or "*" in events or {*MINIMAL} <= {*events}


def _same(events: Collection[str], wanted: Collection[str]) -> bool:
    hears_all = not events or "*" in events or {*EVERY} <= {*events}
    return {*events} == {*wanted} or ("*" in wanted and hears_all)


def _rank(hook: Hook, tending: Tending) -> tuple[object, ...]:
    """Better ones first: believable, of the whole workspace, in its place, the one we had, healthy."""
    last = tending.last.id if tending.last else None
    return (
        not _usable(hook, tending), hook.scoped, not _reaches(hook, tending), hook.id != last,
        hook.id not in tending.known, hook.status == "suspended", hook.fail_count, hook.id,
    )  # fmt: skip


def _base(endpoint: str) -> str:
    """An endpoint without what tells two hooks at the same place apart; without a scheme it is https (official)."""
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    except ValueError:  # somebody's, not ours
        return endpoint
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))


def forms(endpoint: str) -> list[str]:
    """Ways to write an endpoint: ClickUp refuses two hooks with equal ones, and the old hook is to go last."""
    plain = re.sub(r"[?&]hook=\d+$", "", endpoint)
    mark = "&" if "?" in plain else "?"
    return [plain, *(f"{plain}{mark}hook={number}" for number in range(2, FORMS + 1))]


def _free(endpoint: str, hooks: Sequence[Hook]) -> str:
    taken = {hook.endpoint for hook in hooks}
    return next((form for form in forms(endpoint) if form not in taken), endpoint)
