"""The webhook doctor: what it plans, whatever it finds, and what it does at a simulated ClickUp over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.access import Access
from integrations.clickup.client import transport
from integrations.clickup.hook_diagnosis import ALL, EVERY, MINIMAL, Plan, diagnose
from integrations.clickup.hook_doctor import read, tend
from integrations.clickup.simulator.records import Place
from integrations.clickup.simulator.server import Simulator
from integrations.hooks import Hook, Tended, Tending
from integrations.registry import Impossible, NotNow
from tests.turns import Unmetered

TOKEN = "pk_48213377_DOCTOR"
OURS = "https://ingest.example.com/webhooks/clickup/6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10"
GENERIC = "https://ingest.example.com/webhooks/clickup"
MOVED = "https://elsewhere.example.com/hook"
NEIGHBOUR = "https://ingest.example.com/webhooks/clickup/b3a90d4e-77c2-4d1b-8a3f-5c6e7f801234"
CREATED = ("POST", "/v2/team/{team_id}/webhook", 200)
REFUSED = ("POST", "/v2/team/{team_id}/webhook", 400)
CHANGED = ("PUT", "/v2/webhook/{webhook_id}", 200)
DELETED = ("DELETE", "/v2/webhook/{webhook_id}", 200)
ABSENT = "no test of the doctor asks for this"


async def drop(_webhook_id: str, _secret: str) -> None: ...


def hook(id_: str = "a", **changes: Any) -> Hook:
    """A healthy hook of ours."""
    return replace(Hook(id=id_, endpoint=OURS, events=ALL, status="active", secret=f"secret of {id_}"), **changes)


def wish(last: Hook | None = None, **changes: Any) -> Tending:
    """What is wanted, of an integration that knows the hook it saw last."""
    known = {last.id: frozenset({f"secret of {last.id}"})} if last else {}
    return replace(Tending(endpoint=OURS, aliases=frozenset({GENERIC}), keep=drop, known=known, last=last), **changes)


def idle(plan: Plan) -> bool:
    """Whether a plan has nothing to do."""
    return (plan.create, plan.remove, plan.mend, plan.store, plan.why) == (None, (), None, False, ())


def carried_out(hooks: Sequence[Hook], plan: Plan, tending: Tending) -> tuple[list[Hook], Tending]:
    """The hooks after a plan, as ClickUp would have them, and what is known and wanted then."""
    known = dict(tending.known)
    after = {one.id: one for one in hooks}
    kept = plan.keep
    if plan.create is not None:
        assert plan.create not in {one.endpoint for one in hooks}, "OAUTH_171"
        kept = hook("made", endpoint=plan.create, events=tending.events or ALL)
        after[kept.id] = kept
        known[kept.id] = frozenset({"secret of made"})
    elif kept is not None and plan.mend is not None:
        assert plan.mend.id == kept.id
        kept = after[kept.id] = replace(plan.mend, fail_count=0)
    if plan.store and kept is not None:
        known[kept.id] = frozenset({str(kept.secret)}) | known.get(kept.id, frozenset())
    for old in plan.remove:
        del after[old.id]
    return list(after.values()), replace(tending, known=known, last=kept, rotate=False, silent=False)


def test_a_healthy_hook_is_left_alone() -> None:
    """Nothing is planned for a hook that is in order, and nothing was lost."""
    plan = diagnose([hook()], wish(hook()))
    assert idle(plan)
    assert (plan.keep, plan.blind, plan.problem) == (hook(), None, None)


@pytest.mark.parametrize(
    ("found", "tending", "why", "blind"),
    [
        ([], wish(), ["registered"], "no hook"),
        ([], wish(hook()), ["registered"], "gone"),
        ([hook()], wish(), ["adopted"], "not ours"),
        ([hook(endpoint=GENERIC)], wish(), ["adopted"], "not ours"),
        ([hook(secret="new")], wish(hook()), ["secret_changed"], "secret"),
        ([hook(secret=None)], wish(), ["registered"], "unknown"),
        ([hook(secret=None)], wish(hook()), [], None),
        ([hook(status="suspended", fail_count=100)], wish(hook()), ["reactivated"], "suspended"),
        ([hook(status="suspended")], wish(hook(status="suspended")), ["recreated"], "stayed suspended"),
        ([hook(status="failing", fail_count=3)], wish(hook()), [], "gave up on 3"),
        ([hook(status="failing", fail_count=3)], wish(hook(fail_count=5)), [], "gave up on 3"),
        ([hook(status="failing", fail_count=3)], wish(hook(fail_count=3)), [], None),
        ([hook(status="failing")], wish(hook()), [], None),
        ([hook(status="unknown")], wish(hook()), [], None),
        ([hook(events=("taskCreated",))], wish(hook()), ["events_changed"], "hear"),
        ([hook(events=MINIMAL)], wish(hook()), [], None),
        ([hook(events=MINIMAL)], wish(hook(), events=ALL), ["events_changed"], None),
        ([hook(events=ALL)], wish(hook(), events=MINIMAL), ["events_changed"], None),
        ([hook(events=EVERY)], wish(hook(), events=ALL), [], None),
        ([hook(events=())], wish(hook(), events=ALL), [], None),
        ([hook(endpoint=MOVED)], wish(hook()), ["moved"], "another address"),
        ([hook(endpoint=MOVED)], wish(hook(), endpoint=None, aliases=frozenset()), [], None),
        ([hook(endpoint=GENERIC)], wish(hook()), [], None),
        ([hook(scoped=True)], wish(hook()), ["widened"], "part"),
        ([hook()], wish(hook(), rotate=True), ["rotated"], None),
        ([hook(status="suspended")], wish(hook(), rotate=True), ["rotated"], "suspended"),
        ([hook(secret=None, fail_count=2)], wish(hook(), silent=True), ["recreated"], "signed"),
        ([hook(secret=None, fail_count=2)], wish(hook(), silent=False), [], "gave up"),
        ([hook(secret=None, fail_count=2)], wish(hook(fail_count=2), silent=True), [], None),
        ([hook(fail_count=2)], wish(hook(), silent=True), [], "gave up"),
        ([hook(endpoint=NEIGHBOUR)], wish(), ["registered"], "no hook"),
        ([hook()], wish(foreign=frozenset({"a"})), ["registered"], "no hook"),
    ],
)
def test_each_finding_has_its_remedy(found: list[Hook], tending: Tending, why: list[str], blind: str | None) -> None:
    """What is found decides what is done, and whether events may have been lost."""
    plan = diagnose(found, tending)
    assert list(plan.why) == why
    assert plan.problem is None
    assert plan.blind is None if blind is None else blind in str(plan.blind)
    after, then = carried_out(found, plan, tending)
    assert idle(diagnose(after, then))


def test_without_an_address_nothing_is_made() -> None:
    """Nobody said where deliveries should go: that is said, and no hook is made; one that is there is good enough."""
    nowhere = wish(endpoint=None, aliases=frozenset())
    plan = diagnose([], nowhere)
    assert "PUBLIC_URL" in str(plan.problem)
    assert plan.create is None
    assert diagnose([], replace(nowhere, last=hook())).create == OURS
    assert (
        diagnose([hook(endpoint=MOVED)], replace(wish(hook()), endpoint=None, rotate=True)).create == f"{MOVED}?hook=2"
    )


def test_what_is_not_wanted_is_removed() -> None:
    """All hooks of ours and no other, and none is made."""
    found = [hook("a"), hook("b", endpoint=GENERIC), hook("c", endpoint=NEIGHBOUR), hook("d")]
    plan = diagnose(found, wish(hook("a"), wanted=False, foreign=frozenset({"d"})))
    assert {one.id for one in plan.remove} == {"a", "b"}
    assert plan.create is None


def test_of_several_hooks_the_best_stays() -> None:
    """One that can be believed, of the whole workspace, in its place, the one we had, a healthy one; in this order."""
    last = hook("last")
    order = [
        last,
        hook("fresh", endpoint=f"{OURS}?hook=2"),
        hook("sick", endpoint=GENERIC, status="suspended"),
        hook("astray", endpoint=MOVED),
        hook("part", scoped=True),
        hook("mute", secret=None),
    ]
    tending = wish(last, known={"last": frozenset({"secret of last"}), "astray": frozenset({"secret of astray"})})
    while order:
        plan = diagnose(order[::-1], tending)
        assert plan.keep == order.pop(0)


def test_a_new_hook_never_meets_an_old_one() -> None:
    """Every form of the endpoint that is taken, by whomever, is passed over; forms do not grow with each exchange."""
    taken = [hook("a", secret=None), hook("b", secret=None, endpoint=f"{OURS}?hook=2")]
    plan = diagnose([*taken, hook("c", endpoint=f"{OURS}?hook=3")], wish(foreign=frozenset({"c"})))
    assert plan.create == f"{OURS}?hook=4"
    nowhere = wish(hook("a", endpoint=f"{OURS}?hook=2"), endpoint=None, aliases=frozenset(), rotate=True)
    assert diagnose([hook("a", endpoint=f"{OURS}?hook=2")], nowhere).create == OURS


def test_no_secret_is_in_a_hooks_or_a_wishs_text() -> None:
    """A log or traceback that shows these values shows no secret."""
    assert "secret of" not in f"{hook()!r}{wish(hook())!r}{diagnose([hook()], wish())!r}"


def test_a_strange_hook_is_read() -> None:
    """What the API leaves out or writes otherwise is no error."""
    assert read({"id": "a", "endpoint": "x"}) == Hook(id="a", endpoint="x")
    assert read({"id": "a", "events": "*", "health": {"fail_count": "3"}}).events == ALL
    assert idle(diagnose([hook(endpoint="http://[bad", id="b"), hook()], wish(hook())))


PLACES = [OURS, f"{OURS}?hook=2", f"{OURS}/", GENERIC, NEIGHBOUR, MOVED, "http://[bad", OURS.removeprefix("https://")]
IDS = ["a", "b", "c", "d", "e"]


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Hook], Tending]:
    """Hooks that ClickUp may list, and what may be known of them."""

    def one(id_: str) -> Hook:
        return Hook(
            id=id_,
            endpoint=draw(st.sampled_from(PLACES)),
            events=draw(st.sampled_from([ALL, MINIMAL, EVERY, ("taskCreated",), ()])),
            status=draw(st.sampled_from(["active", "failing", "suspended", "unknown"])),
            fail_count=draw(st.sampled_from([0, 1, 100])),
            secret=draw(st.sampled_from([None, f"secret of {id_}", "another"])),
            scoped=draw(st.booleans()),
        )

    ids = draw(st.lists(st.sampled_from(IDS), unique=True))
    known = draw(st.dictionaries(st.sampled_from(IDS), st.sampled_from([(), ("another",), ("lost",)])))
    foreign = draw(st.frozensets(st.sampled_from(IDS))) - known.keys()
    last = one(draw(st.sampled_from(IDS))) if draw(st.booleans()) else None
    tending = Tending(
        endpoint=draw(st.sampled_from([OURS, None])),
        aliases=frozenset({GENERIC}) if draw(st.booleans()) else frozenset(),
        events=draw(st.sampled_from([None, ALL, MINIMAL])),
        known={id_: frozenset(secrets) for id_, secrets in known.items()},
        foreign=foreign,
        last=last if last and last.id not in foreign else None,
        silent=draw(st.booleans()),
        wanted=draw(st.integers(0, 4)) > 0,
        rotate=draw(st.integers(0, 4)) == 0,
        keep=drop,
    )
    return [one(id_) for id_ in ids], tending


def bases(found: list[Hook], tending: Tending) -> set[str]:
    """The addresses of ours, without what may differ: those said, and those of hooks whose secrets we know."""
    last = tending.last.endpoint if tending.last else None
    said = {one for one in (tending.endpoint, last, *tending.aliases) if one}
    said |= {one.endpoint for one in found if one.id in tending.known and one.id not in tending.foreign}
    return {one.partition("?")[0].rstrip("/").removeprefix("https://") for one in said}


@settings(max_examples=500, deadline=None)
@given(situation=situations())
def test_any_situation_ends_well(situation: tuple[list[Hook], Tending]) -> None:
    """Others' hooks stay as they are; one hook of ours is left, or none if none is wanted; then nothing is to do."""
    found, tending = situation
    plan = diagnose(found, tending)
    assert plan == diagnose(found[::-1], tending), "the order of a listing does not matter"
    ours = {
        one.id
        for one in found
        if one.id not in tending.foreign
        and (
            one.id in tending.known
            or one.endpoint.partition("?")[0].rstrip("/").removeprefix("https://") in bases(found, tending)
        )
    }
    touched = {one.id for one in (*plan.remove, plan.keep, plan.mend) if one is not None}
    assert touched <= ours
    after, then = carried_out(found, plan, tending)
    left = [one for one in after if one.id in ours | {"made"}]
    somewhere = tending.endpoint or tending.last or ours
    assert len(left) == (1 if tending.wanted and somewhere else 0)
    assert [one for one in after if one.id not in ours | {"made"}] == [one for one in found if one.id not in ours]
    assert bool(plan.problem) == (tending.wanted and not somewhere)
    again = diagnose(after, then)
    assert idle(again)
    assert again.blind is None or not tending.wanted or not left
    if left:
        assert (left[0].status != "suspended", left[0].scoped) == (True, False)
        assert then.known[left[0].id], "its secret is known"


@dataclass
class Patient:
    """A workspace at a simulated ClickUp, and what one integration knows of its hooks."""

    simulator: Simulator
    access: Access
    secrets: dict[str, set[str]] = field(default_factory=dict)
    last: Hook | None = None

    async def keep(self, webhook_id: str, secret: str) -> None:
        self.secrets.setdefault(webhook_id, set()).add(secret)

    async def tend(self, **wishes: Any) -> Tended:
        """Look after it as `upkeep` would, and remember the hook."""
        known = {id_: frozenset(secrets) for id_, secrets in self.secrets.items()}
        tending = replace(wish(known=known, last=self.last, keep=self.keep), **wishes)
        tended = await tend(tending, self.access)
        if tending.act:
            self.last = tended.hook
        return tended

    def posed(self) -> Any:
        """The one hook there is."""
        (only,) = self.simulator.workspace.webhooks.values()
        return only

    def calls(self, *kinds: tuple[str, str, int]) -> int:
        return sum(self.simulator.calls[kind] for kind in kinds)


async def unasked(*_arguments: Any) -> Any:
    raise AssertionError(ABSENT)


def reach(http: httpx.AsyncClient, url: str, values: Mapping[str, Any]) -> Access:
    """Access for a provider that only tends."""
    return Access(
        settings=values, http=http, url=url, turns=Unmetered(), unknown=unasked, versions=unasked, living=unasked,
        observed=unasked, now=lambda: datetime.now(UTC),
    )  # fmt: skip


@pytest.fixture
async def patient() -> AsyncIterator[Patient]:
    """A workspace without hooks."""
    simulator = Simulator(seed=3, token=TOKEN, backoff=(0.0,))
    simulator.workspace.create_space("Platform")
    simulator.workspace.create_space("Sales")
    async with simulator.serving() as url, transport() as http:
        values = {"token": TOKEN, "workspace_id": simulator.workspace.team_id}
        yield Patient(simulator, reach(http, url, values))
    await simulator.close()


async def test_field_44_registration_lists_and_reconciles(patient: Patient) -> None:
    """n8n#14277, #17400: a second activation fails with "Webhook configuration already exists" until a person deletes
    the hook. Ours lists first and takes over what is there: once or five times, one hook, and nothing is refused.
    """
    there = patient.simulator.register_webhook(OURS)
    first = await patient.tend()
    assert [deed.action for deed in first.deeds] == ["adopted"]
    for _ in range(4):
        patient.secrets.clear()
        patient.last = None
        assert (await patient.tend()).hook == first.hook
    assert patient.posed().id == there.id
    assert patient.calls(CREATED, REFUSED) == 0


async def test_field_46_a_hook_that_cannot_work_is_said(patient: Patient) -> None:
    """n8n#3959: the trigger just fails. Ours says what is wrong and what to do: token, workspace, ClickUp itself."""
    good = patient.access
    patient.access = replace(good, settings={**good.settings, "workspace_id": "1"})
    with pytest.raises(Impossible, match="workspace 1 is not visible"):
        await patient.tend()
    patient.access = replace(good, settings={**good.settings, "token": "pk_wrong"})
    with pytest.raises(Impossible, match="connect with another user's token"):
        await patient.tend()
    patient.access = replace(good, settings={**good.settings, "token": "pk_wrong", "workspace_id": "1"})
    with pytest.raises(Impossible, match="token"):
        await patient.tend()
    patient.access = replace(good, url="http://127.0.0.1:1")
    patient.simulator.faults.api_error_burst = 100
    patient.access = good
    with respx.mock() as router:
        router.get().mock(return_value=httpx.Response(422, json={"err": "no"}))
        with pytest.raises(NotNow, match="Rejected"):
            await patient.tend()


async def test_field_47_starting_again_piles_nothing_up(patient: Patient) -> None:
    """minder#477, meraki-homeassistant#2488: each start leaves another registration. Ours leaves one, and removes
    those that somebody else's starts left behind.
    """
    for _ in range(3):
        await patient.tend()
        patient.last = None
    first = patient.posed()
    for _ in range(3):
        patient.simulator.workspace.duplicate_webhook(first.id)
    tended = await patient.tend()
    assert [deed.action for deed in tended.deeds] == ["removed"] * 3
    assert patient.posed() is first
    assert patient.calls(CREATED) == 1


def two_parts(patient: Patient) -> None:
    for space in patient.simulator.workspace.spaces:
        patient.simulator.register_webhook(OURS, scope=Place(space_id=space))


def only(patient: Patient) -> str:
    return str(patient.posed().id)


Harm = Callable[[Patient], object]


def secret_lost(at: Patient) -> None:
    at.secrets.clear()


def all_lost(at: Patient) -> None:
    at.secrets.clear()
    at.last = None


HARMS: dict[str, tuple[Harm, str, bool]] = {
    "deleted": (lambda at: at.simulator.workspace.delete_webhook(only(at)), "registered", True),
    "suspended": (lambda at: at.simulator.workspace.suspend_webhook(only(at)), "reactivated", True),
    "duplicated": (lambda at: at.simulator.workspace.duplicate_webhook(only(at)), "removed", False),
    "secret changed": (lambda at: at.simulator.workspace.change_secret(only(at)), "secret_changed", True),
    "narrowed": (lambda at: setattr(at.posed(), "events", ("taskCreated",)), "events_changed", True),
    "re-pointed": (lambda at: setattr(at.posed(), "endpoint", MOVED), "moved", True),
    "one a space": (two_parts, "removed", False),
    "secret lost": (secret_lost, "adopted", True),
    "all lost": (all_lost, "adopted", True),
}


@pytest.mark.parametrize("hidden", [False, True], ids=["shown", "hidden"])
@pytest.mark.parametrize("harm", HARMS)
async def test_whatever_is_done_to_a_hook_one_healthy_one_is_left(harm: str, hidden: bool, patient: Patient) -> None:
    """Each harm is mended in one round, secrets listed or not; the next round finds nothing to do."""
    do, action, blind = HARMS[harm]
    await patient.tend()
    do(patient)
    patient.simulator.faults.hide_secrets = hidden
    if hidden and harm == "secret changed":
        return  # nothing shows it; see the tests of silence
    tended = await patient.tend()
    wanted = "registered" if hidden and "lost" in harm else action
    assert wanted in [deed.action for deed in tended.deeds]
    assert bool(tended.blind) == blind
    hook_ = patient.posed()
    assert (hook_.status, hook_.endpoint.partition("?")[0], hook_.scope) == ("active", OURS, Place())
    assert hook_.secret in patient.secrets[hook_.id]
    assert not any(hook_.secret in str(deed) for deed in tended.deeds)
    before = patient.simulator.calls.copy()
    again = await patient.tend()
    assert (list(again.deeds), again.blind, again.problem) == ([], None, None)
    assert sum((patient.simulator.calls - before).values()) == 1
    assert patient.calls(REFUSED) == 0


async def test_hooks_of_parts_give_way_to_one_of_the_whole(patient: Patient) -> None:
    """Two hooks, one a space: neither alone would do, so one of the workspace replaces both."""
    two_parts(patient)
    tended = await patient.tend()
    assert [deed.action for deed in tended.deeds] == ["widened", "removed", "removed"]
    assert patient.posed().scope == Place()


async def test_the_address_changed(patient: Patient) -> None:
    """Another PUBLIC_URL: the hook is moved there, with its secret, and none is left at the old address."""
    await patient.tend()
    before = only(patient)
    new = OURS.replace("ingest.", "new.")
    tended = await patient.tend(endpoint=new, aliases=frozenset())
    assert [deed.action for deed in tended.deeds] == ["moved"]
    assert (only(patient), patient.posed().endpoint) == (before, new)


async def test_an_exchange_leaves_no_moment_without_a_hook(patient: Patient) -> None:
    """The new secret is known before the old hook goes; both are there for a moment; then only the new one."""
    first = (await patient.tend()).hook
    there: list[int] = []

    async def keep(webhook_id: str, secret: str) -> None:
        there.append(len(patient.simulator.workspace.webhooks))
        await patient.keep(webhook_id, secret)

    for _ in range(3):
        tended = await patient.tend(rotate=True, keep=keep)
        assert [deed.action for deed in tended.deeds] == ["rotated", "removed"]
    assert there == [2, 2, 2]
    assert first is not None
    assert only(patient) != first.id
    assert patient.posed().endpoint.startswith(OURS)


async def test_what_is_not_ours_stays(patient: Patient) -> None:
    """Hooks of another integration of this token, of other services, and of other users are not touched."""
    workspace = patient.simulator.workspace
    other = next(id_ for id_ in workspace.members if id_ != workspace.owner.id)
    theirs = [
        patient.simulator.register_webhook(NEIGHBOUR),
        patient.simulator.register_webhook("https://n8n.example.com/x"),
        patient.simulator.register_webhook(OURS, events=("taskCreated",)),
        workspace.add_webhook(OURS, userid=other),
    ]
    foreign = frozenset({theirs[2].id})
    copies = [replace(one) for one in theirs]
    await patient.tend(foreign=foreign)
    await patient.tend(foreign=foreign, rotate=True)
    await patient.tend(foreign=foreign, wanted=False)
    assert list(workspace.webhooks.values()) == copies
    assert patient.calls(REFUSED) == 0


async def test_looking_changes_nothing(patient: Patient) -> None:
    """Without leave to act it says what is needed and makes no call but the listing."""
    tended = await patient.tend(act=False)
    assert "registered" in str(tended.problem)
    await patient.tend()
    patient.simulator.workspace.suspend_webhook(only(patient))
    patient.simulator.workspace.duplicate_webhook(only(patient))
    before = patient.simulator.calls.copy()
    tended = await patient.tend(act=False)
    assert "reactivated and duplicates removed" in str(tended.problem)
    assert [*(patient.simulator.calls - before)] == [("GET", "/v2/team/{team_id}/webhook", 200)]


async def test_a_disabled_owner_is_noticed(patient: Patient) -> None:
    """ClickUp refuses the token of a disabled user, whose hook is silent: said with the way out, healed by itself."""
    await patient.tend()
    workspace = patient.simulator.workspace
    workspace.disable_member(workspace.owner.id)
    with pytest.raises(Impossible, match="a hook whose owner is gone stays silent"):
        await patient.tend()
    workspace.enable_member(workspace.owner.id)
    assert (await patient.tend()).problem is None


async def test_an_unanswered_creation_is_taken_over(patient: Patient) -> None:
    """The answer to the creation is lost: the next round finds that hook and makes no second one."""
    listing = patient.simulator.workspace.team_id
    patient.simulator.faults.cut_rate = 1.0
    http = patient.access.http
    real = f"{patient.access.url}/v2/team/{listing}/webhook"
    with respx.mock(assert_all_called=False) as router:
        router.get(real).mock(return_value=httpx.Response(200, json={"webhooks": []}))
        router.route().pass_through()
        with pytest.raises(NotNow, match="Unavailable"):
            await patient.tend()
    assert http is patient.access.http
    patient.simulator.faults.cut_rate = 0.0
    assert [deed.action for deed in (await patient.tend()).deeds] == ["adopted"]
    assert patient.calls(CREATED) == 1


async def test_somebody_elses_hook_in_our_place_does_not_stop_us(patient: Patient) -> None:
    """If ClickUp refuses our endpoint for a hook that no list shows (another user's, perhaps one who is gone), the
    endpoint is written otherwise, which reaches us just as well. No person is asked to do anything.
    """
    made: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        endpoint = read(__import__("json").loads(request.content)).endpoint
        if endpoint == OURS:
            return httpx.Response(400, json={"err": "Webhook configuration already exists", "ECODE": "OAUTH_171"})
        made.append(endpoint)
        return httpx.Response(200, json={"id": "n", "webhook": {"id": "n", "endpoint": endpoint, "secret": "told"}})

    with respx.mock() as router:
        router.get().mock(return_value=httpx.Response(200, json={"webhooks": []}))
        router.post().mock(side_effect=answer)
        tended = await patient.tend()
    assert made == [f"{OURS}?hook=2"]
    assert tended.hook is not None
    assert (tended.hook.id, tended.problem, patient.secrets) == ("n", None, {"n": {"told"}})


@asynccontextmanager
async def faced(patient: Patient, *answers: httpx.Response) -> AsyncIterator[respx.MockRouter]:
    """A ClickUp that lists one suspended hook and answers changes so."""
    listed = {"id": "a", "endpoint": OURS, "events": ["*"], "health": {"status": "suspended", "fail_count": 100}}
    patient.secrets = {"a": {"secret of a"}}
    with respx.mock(assert_all_called=False) as router:
        router.get().mock(return_value=httpx.Response(200, json={"webhooks": [listed]}))
        router.put().mock(side_effect=list(answers))
        router.delete().mock(return_value=httpx.Response(200, json={}))
        made = {"id": "b", "endpoint": OURS, "secret": "told"}
        router.post().mock(return_value=httpx.Response(200, json={"id": "b", "webhook": made}))
        yield router


async def test_a_hook_that_stays_suspended_is_exchanged(patient: Patient) -> None:
    """Setting it active had no effect: the next round makes another one instead of asking for ever."""
    still = {"id": "a", "endpoint": OURS, "health": {"status": "suspended", "fail_count": 100}}
    async with faced(patient, httpx.Response(200, json={"webhook": still})):
        assert [deed.action for deed in (await patient.tend()).deeds] == ["reactivated"]
        assert [deed.action for deed in (await patient.tend()).deeds] == ["recreated", "removed"]


async def test_a_hook_that_goes_while_it_is_mended_is_no_fault_of_the_token(patient: Patient) -> None:
    """Deleted between the list and the change: tried again later, and not taken for a token that sees nothing."""
    gone = httpx.Response(401, json={"err": "Team not authorized", "ECODE": "OAUTH_027"})
    async with faced(patient, gone):
        with pytest.raises(NotNow, match="Gone"):
            await patient.tend()


async def test_a_change_may_tell_a_secret(patient: Patient) -> None:
    """Where the list hides secrets and the answer to a change shows one, it is stored before it is needed."""
    active = {"id": "a", "endpoint": OURS, "secret": "shown now", "health": {"status": "active", "fail_count": 0}}
    async with faced(patient, httpx.Response(200, json={"webhook": active})):
        await patient.tend()
    assert "shown now" in patient.secrets["a"]


async def test_a_hook_without_a_secret_is_not_kept(patient: Patient) -> None:
    """ClickUp makes a hook and tells no secret: it is removed again, what was there stays, and that is said."""
    async with faced(patient) as router:
        patient.secrets = {}
        made = {"id": "b", "endpoint": f"{OURS}?hook=2"}
        router.post().mock(return_value=httpx.Response(200, json={"id": "b", "webhook": made}))
        tended = await patient.tend()
        assert "no secret" in str(tended.problem)
        assert tended.hook is not None
        assert tended.hook.id == "a"
        assert [str(call.request.url)[-2:] for call in router.calls if call.request.method == "DELETE"] == ["/b"]


async def test_an_integration_may_choose_its_events(patient: Patient) -> None:
    """The setting `webhook_events` says what a hook hears; what a command says goes before it."""
    values = {**patient.access.settings, "webhook_events": "minimal"}
    patient.access = replace(patient.access, settings=values)
    await patient.tend()
    assert patient.posed().events == MINIMAL
    await patient.tend(events=ALL)
    assert patient.posed().events == ALL
    await patient.tend()
    assert patient.posed().events == MINIMAL
    assert patient.calls(CREATED) == 1


async def test_a_limit_is_waited_for(patient: Patient) -> None:
    """While the token's calls are used up the doctor says that it could not look; afterwards all is well."""
    patient.simulator.faults.rate_limited_until = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(NotNow, match="RateLimited"):
        await patient.tend()
    patient.simulator.faults.rate_limited_until = None
    assert [deed.action for deed in (await patient.tend()).deeds] == ["registered"]
