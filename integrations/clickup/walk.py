"""The walk over a whole workspace: full imports, incremental syncs and sweeps go the same way with other filters.

    structure -> tasks -> comments (in a sync they come with their tasks) -> docs -> goals

Promises: nothing that ClickUp's defaults hide is left out (archived, closed, subtasks, folderless, several lists,
comments past the first page, replies); no page drifts (`keyset.py`); memory does not grow with the workspace; a walk
that is interrupted goes on after its last page; a malformed object is kept aside and holds nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from integrations.access import Access
from integrations.clickup import docs, mapping, structure
from integrations.clickup.client import ClickUp, TaskPage
from integrations.clickup.contents import Contents
from integrations.clickup.errors import Gone, Rejected
from integrations.clickup.keyset import Anchor, following
from integrations.clickup.sieve import Sieve
from integrations.clickup.structure import Spread, switches
from integrations.clickup.values import identity, milliseconds, part
from integrations.errands import SYNC, Errand, Failure, Page
from schema.records import Ref

TASKS_PER_PAGE: Final = 100
LISTS_AT_A_TIME: Final = 50
"""Of those asked for in one listing: an address may not be endless."""
TASKS_AT_A_TIME: Final = 32
"""Tasks whose comments make one page: what a killed process has to ask for again."""
DOCS_AT_A_TIME: Final = 20
CALLS_PER_SPACE: Final = 8
MARGIN_MILLISECONDS: Final = 5_000
"""How far ClickUp's listings may lag behind its own clock (a guess on the safe side)."""
PHASES: Final = ("structure", "tasks", "comments", "docs", "goals", "done")
LISTED_WHOLE: Final = frozenset({"space", "folder", "list", "doc", "goal", "key_result"})
"""What every walk lists, a sync too."""
OPTIONAL: Final[Mapping[str, frozenset[str]]] = {"docs": frozenset({"doc"}), "goals": frozenset({"goal", "key_result"})}
"""Phases a workspace may not have, and what they would bring."""

Raw = Mapping[str, Any]
Where = Mapping[str, str | Sequence[str]]


@dataclass(slots=True)
class Walk:
    """One walk. Its state is its checkpoint: another one with the same checkpoint goes on where this one stood.

    The state's names: `began` (ClickUp's time then), `phase`, `calls` made, phases that were `partly` read, tasks
    `expected`, `met` and `asked` for their comments, lists `aside`, `places` of a selection; within a phase `done`
    spaces, `leg` and `anchor` of the task listings, the task `after` which comments go on, `listed` docs.
    """

    errand: Errand
    client: ClickUp
    access: Access
    workspace_id: str
    state: dict[str, Any] = field(init=False)
    contents: Contents = field(init=False)

    def __post_init__(self) -> None:
        self.state = dict(self.errand.checkpoint or {})
        self.contents = Contents(self.client, self.workspace_id)

    async def pages(self) -> AsyncIterator[Page]:
        """The pages that are left.

        Raises:
            ClickUpError: it cannot go on now; the last page's checkpoint is where to.
        """
        if "began" not in self.state:
            self.state |= {"began": await self._clock(), "phase": PHASES[0], "calls": 0}
        ways = {
            "structure": self._structure,
            "tasks": self._tasks,
            "comments": self._comments,
            "docs": self._docs,
            "goals": self._goals,
        }
        for phase in PHASES[PHASES.index(self.state["phase"]) : -1]:
            self.state["phase"] = phase
            try:
                async for page in ways[phase]():
                    yield page
            except (Gone, Rejected) as error:
                if phase not in OPTIONAL:
                    raise
                yield await self._hidden(phase, error)
            for name in ("done", "leg", "anchor", "after", "listed"):
                self.state.pop(name, None)
        covers = LISTED_WHOLE if self.errand.kind == SYNC else LISTED_WHOLE | {"task"}
        partly = self._partly()
        for phase in partly | set(self.state.get("hidden") or ()):
            covers -= OPTIONAL.get(phase, frozenset())
        whole = self.errand.options.whole
        self.state["phase"] = PHASES[-1]
        yield self._page(
            await self.access.observed(),
            Sieve(),
            left=0,
            last=True,
            covers=covers if whole else frozenset(),
            # Docs and goals are listed whole every time: one that could not be read now is not lost with the cursor
            reached=self.state["began"] if whole and partly <= OPTIONAL.keys() else None,
        )

    def _partly(self) -> set[str]:
        return set(self.state.get("partly") or ())

    async def _hidden(self, phase: str, error: Exception) -> Page:
        """A page that says that a whole kind is not to be had: switched off in this workspace, or not for this user."""
        self.state["hidden"] = [*(self.state.get("hidden") or ()), phase]
        sieve = Sieve(failures=[Failure(type=phase, id="all", reason=str(error), raw={})])
        return self._page(await self.access.observed(), sieve, left=CALLS_PER_SPACE)

    async def _clock(self) -> int:
        """ClickUp's time now, a little earlier; a token that is not good ends here."""
        await self.client.prove_token()
        return milliseconds(self.client.calls.said_at or self.access.now()) - MARGIN_MILLISECONDS

    def _page(self, observed_at: datetime, sieve: Sieve, *, left: int, **more: Any) -> Page:
        """A page of what was just read; `left` is a guess at the calls that follow."""
        if any(failure.raw is None for failure in sieve.failures):
            self.state["partly"] = sorted(self._partly() | {self.state["phase"]})
        calls = self._calls()
        return Page(
            observed_at=observed_at,
            phase=self.state["phase"],
            records=sieve.records,
            failures=sieve.failures,
            done=calls,
            total=calls + left,
            checkpoint=deepcopy(self.state) | {"calls": calls},
            **more,
        )

    def _calls(self) -> int:
        return int(self.state["calls"]) + self.client.calls.count

    def _left(self) -> int:
        """A guess at the calls of the phases ahead, this one's among them."""
        if self.errand.kind == SYNC:
            return 4
        phase, expected = PHASES.index(self.state["phase"]), self._count("expected")
        pages = 2 + max(expected - self._count("met"), 0) // TASKS_PER_PAGE if phase <= PHASES.index("tasks") else 0
        return 4 + pages + self.errand.options.comments * max(expected - self._count("asked"), 0)

    def _count(self, name: str) -> int:
        return int(self.state.get(name) or 0)

    async def _structure(self) -> AsyncIterator[Page]:
        client, options = self.client, self.errand.options
        observed_at = await self.access.observed()
        done: list[str] = self.state.setdefault("done", [])
        spread = Spread(
            tasks=self._count("expected"),
            aside=list(self.state.get("aside") or ()),
            places=list(self.state.get("places") or ()),
        )
        spaces = await structure.spaces(client, self.workspace_id, options)
        if not spaces and options.whole and await self.access.living("space", "", 1, (), ()):
            raise Rejected("the token sees no space any more, so nothing is taken for deleted; give it access again")
        if not done:
            sieve = Sieve(listed=True)
            for raw in await client.teams():
                if identity(raw.get("id")) == self.workspace_id:
                    sieve.take("workspace", raw, mapping.workspace)
            if not sieve.records and not sieve.failures:
                raise Gone(f"workspace {self.workspace_id} is not among those this token sees")
            yield self._page(observed_at, sieve, left=len(spaces) * CALLS_PER_SPACE)
        for at, space in enumerate(spaces):
            if (space_id := identity(space.get("id")) or f"without id {at}") in done:
                continue
            observed_at = await self.access.observed()
            sieve = await structure.below(client, space, self.workspace_id, options, spread)
            done.append(space_id)
            self._spread(spread)
            yield self._page(observed_at, sieve, left=(len(spaces) - at) * CALLS_PER_SPACE + self._left())
        observed_at = await self.access.observed()
        sieve = await structure.shared(client, spaces, self.workspace_id, options, spread)
        self._spread(spread)
        yield self._page(observed_at, sieve, left=self._left())

    def _spread(self, spread: Spread) -> None:
        self.state |= {"expected": spread.tasks, "aside": spread.aside, "places": spread.places}

    async def _tasks(self) -> AsyncIterator[Page]:
        """The workspace's tasks, unarchived and archived; then those of the lists that such a listing may not show.

        A sync leaves the latter to the sweep: what lies in something archived rarely changes.
        """
        options = self.errand.options
        wheres: list[Where] = [
            {"list_ids": options.lists[at : at + LISTS_AT_A_TIME]}
            for at in range(0, len(options.lists), LISTS_AT_A_TIME)
        ]
        wheres += [{"space_ids": options.spaces}] if options.spaces else []
        wheres = wheres or [{}]
        if self.errand.kind != SYNC:
            wheres += [{"list_id": id_} for id_ in self.state.get("aside") or ()]
        legs = [(where, archived) for where in wheres for archived in switches(options)]
        by = "updated" if self.errand.kind == SYNC else "created"
        start = {"since": self._since()}
        while (leg := int(self.state.setdefault("leg", 0))) < len(legs):
            anchor = Anchor(**self.state.get("anchor") or start)
            observed_at = await self.access.observed()
            found = await self._ask(*legs[leg], anchor.query(by))
            ahead = following(anchor, found.tasks, field=by, last=found.last)
            self.state |= {"anchor": asdict(ahead)} if ahead else {"anchor": None, "leg": leg + 1}
            self.state["met"] = self._count("met") + len(found.tasks)
            sieve, complete = Sieve(listed=True), []
            for raw in found.tasks:
                sieve.take("task", raw, mapping.task)
            if self.errand.kind == SYNC and options.comments:
                complete = await self.contents.comments([record.ref.id for record in sieve.records], sieve)
            yield self._page(observed_at, sieve, left=self._left(), complete=complete)

    def _since(self) -> int:
        if self.errand.kind != SYNC:
            return 0
        given = self.errand.options.since
        return given if given is not None else self.errand.cursor or 0

    async def _ask(self, where: Where, archived: bool, query: Mapping[str, str]) -> TaskPage:
        """A page of tasks with everything that ClickUp's defaults hide."""
        shown: dict[str, Any] = {
            "archived": archived,
            "include_closed": self.errand.options.closed,
            "subtasks": True,
            "include_timl": True,
            "include_markdown_description": True,
        }
        if "list_id" not in where:
            return await self.client.team_tasks(self.workspace_id, **shown, **where, **query)
        try:
            return await self.client.list_tasks(str(where["list_id"]), **shown, **query)
        except Gone:  # it went since it was listed
            return TaskPage(tasks=[], last=True)

    async def _comments(self) -> AsyncIterator[Page]:
        """The comments of every living task: there is no listing of a workspace's comments, so each is asked."""
        options = self.errand.options
        if self.errand.kind == SYNC or not options.comments:
            return
        while ids := await self.access.living(
            "task", self.state.get("after") or "", TASKS_AT_A_TIME, options.spaces, options.lists
        ):
            observed_at, sieve = await self.access.observed(), Sieve(listed=True)
            complete = await self.contents.comments(ids, sieve)
            self.state |= {"after": ids[-1], "asked": self._count("asked") + len(ids)}
            yield self._page(observed_at, sieve, left=self._left(), complete=complete)

    async def _docs(self) -> AsyncIterator[Page]:
        options = self.errand.options
        if not options.docs:
            return
        legs = switches(options)
        while (leg := int(self.state.setdefault("leg", 0))) < len(legs):
            read_before, listed = self._count("listed"), 0
            async for found in self.client.docs(self.workspace_id, archived=legs[leg]):
                for at in range(0, len(found), DOCS_AT_A_TIME):
                    some = [raw for raw in found[at : at + DOCS_AT_A_TIME] if self._in_scope(raw)]
                    listed += DOCS_AT_A_TIME
                    observed_at, sieve = await self.access.observed(), Sieve(listed=True)
                    # a sync need not read again what has not changed, nor a resumed walk what it has read
                    seen = await self._known(some) if self.errand.kind == SYNC or listed <= read_before else set()
                    await self.contents.docs([raw for raw in some if _doc(raw) not in seen], sieve)
                    self.state["listed"] = max(listed, read_before)
                    yield self._page(observed_at, sieve, left=CALLS_PER_SPACE, seen=seen)
            self.state |= {"leg": leg + 1, "listed": 0}

    def _in_scope(self, raw: Raw) -> bool:
        options = self.errand.options
        return not (options.spaces or options.lists) or (
            identity(part(raw.get("parent")).get("id")) in (self.state.get("places") or ())
        )

    async def _known(self, listed: Sequence[Raw]) -> set[Ref]:
        """Those of these Docs that the knowledge base has as they are."""
        dates = {ref: docs.updated_at(raw) for raw in listed if (ref := _doc(raw))}
        stored = await self.access.versions(list(dates))
        return {ref for ref, known in stored.items() if known and (date := dates[ref]) and known >= date}

    async def _goals(self) -> AsyncIterator[Page]:
        if self.errand.options.goals:
            observed_at, sieve = await self.access.observed(), Sieve(listed=True)
            await self.contents.goals(sieve)
            yield self._page(observed_at, sieve, left=0)


def _doc(raw: Raw) -> Ref | None:
    id_ = identity(raw.get("id"))
    return Ref("doc", id_) if id_ else None
