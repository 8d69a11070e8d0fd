"""What goes wrong, one at a time. Each fault is there while its context is open, and gone when that is left."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from tests.resilience.rig import CLOCK, NAMES, ROOT, Program, Rig, library
from tests.resilience.versions import previous

Inject = Callable[[Rig], AbstractAsyncContextManager[None]]
SECONDS: Final = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        part: what it happens to.
        name: what happens.
        inject: makes it so while the context is open.
        seconds: how long it lasts.
        may_refuse: both stores are away, so 503 is the right answer.
        breaks: the planted bug of `broken.py` with which this is seen to fail.
        library: what must be installed for it.
        upgrade: it begins with the version before the newest migration.
    """

    part: str
    name: str
    inject: Inject
    seconds: float = SECONDS
    may_refuse: bool = False
    breaks: str
    library: str | None = None
    upgrade: bool = False

    @property
    def lacks(self) -> str | None:
        """What this machine has not and it needs; None if it has all."""
        if self.library is not None and library(self.library) is None:
            return f"{self.library} is not installed"
        return "this copy of the source has no history" if self.upgrade and previous() is None else None


# the broker


@asynccontextmanager
async def broker_killed(rig: Rig) -> AsyncIterator[None]:
    """SIGKILL, as a power cut; it comes back with what it had written."""
    await asyncio.to_thread(rig.rabbitmq.kill, 0.0)
    yield
    await asyncio.to_thread(rig.rabbitmq.start)


@asynccontextmanager
async def broker_restarted(rig: Rig) -> AsyncIterator[None]:
    """Stopped in good order."""
    await asyncio.to_thread(rig.rabbitmq.stop)
    yield
    await asyncio.to_thread(rig.rabbitmq.start)


@asynccontextmanager
async def broker_frozen(rig: Rig) -> AsyncIterator[None]:
    """SIGSTOP: connections stay open, and nobody answers."""
    rig.rabbitmq.freeze()
    yield
    rig.rabbitmq.thaw()


@asynccontextmanager
async def broker_silent(rig: Rig) -> AsyncIterator[None]:
    """A network that drops every packet."""
    rig.broker.silence()
    yield
    rig.broker.speak()


@asynccontextmanager
async def broker_cut_off(rig: Rig) -> AsyncIterator[None]:
    """A network that refuses."""
    await rig.broker.cut()
    yield
    await rig.broker.mend()


@asynccontextmanager
async def broker_alarmed(rig: Rig) -> AsyncIterator[None]:
    """Its memory alarm blocks every publisher; consumers go on."""
    await asyncio.to_thread(rig.rabbitmq.memory_alarm, on=True)
    yield
    await asyncio.to_thread(rig.rabbitmq.memory_alarm, on=False)


@asynccontextmanager
async def queue_full(rig: Rig) -> AsyncIterator[None]:
    """The queue of `knowledge` is at its length limit while nobody empties it: publishes are refused."""
    limit = ("set_policy", "full", "^kb\\.knowledge$", '{"max-length":50}', "--apply-to", "queues")
    for program in rig.of("knowledge"):
        program.send(signal.SIGSTOP)
    await asyncio.to_thread(rig.rabbitmq.ctl, *limit)
    yield
    await asyncio.to_thread(rig.rabbitmq.ctl, "clear_policy", "full")
    for program in rig.of("knowledge"):
        program.send(signal.SIGCONT)


@asynccontextmanager
async def channels_closed(rig: Rig) -> AsyncIterator[None]:
    """The broker closes every channel, twice a second or so."""
    closing = "[exit(Pid, kill) || Pid <- rabbit_channel:list_local()], ok."
    async with _again(lambda: rig.rabbitmq.ctl("eval", closing), pause=1.5):
        yield


@asynccontextmanager
async def connections_closed(rig: Rig) -> AsyncIterator[None]:
    """An operator closes every connection, again and again."""
    async with _again(lambda: rig.rabbitmq.ctl("close_all_connections", "maintenance"), pause=1.5):
        yield


@asynccontextmanager
async def confirms_slow(rig: Rig) -> AsyncIterator[None]:
    """Everything the broker says takes six seconds longer, which is more than an answer may take."""
    rig.broker.delay = 6.0
    yield
    rig.broker.delay = 0.0


# the database


@asynccontextmanager
async def database_killed(rig: Rig) -> AsyncIterator[None]:
    """SIGKILL, as a power cut; it comes back with what was committed."""
    await asyncio.to_thread(rig.postgres.kill)
    yield
    await asyncio.to_thread(rig.postgres.start)
    await rig.lead_to(rig.postgres)


@asynccontextmanager
async def database_restarted(rig: Rig) -> AsyncIterator[None]:
    """Stopped in good order."""
    await asyncio.to_thread(rig.postgres.stop)
    yield
    await asyncio.to_thread(rig.postgres.start)
    await rig.lead_to(rig.postgres)


@asynccontextmanager
async def database_frozen(rig: Rig) -> AsyncIterator[None]:
    """SIGSTOP: connections stay open, and nobody answers."""
    rig.postgres.freeze()
    yield
    rig.postgres.thaw()


@asynccontextmanager
async def database_silent(rig: Rig) -> AsyncIterator[None]:
    """A network that drops every packet."""
    rig.store.silence()
    yield
    rig.store.speak()


@asynccontextmanager
async def database_failing_over(rig: Rig) -> AsyncIterator[None]:
    """The primary refuses writes, its standby is promoted, new connections meet that; the old one stays, read-only."""
    standby = await asyncio.to_thread(rig.postgres.standby)
    old = rig.postgres
    await rig.sql.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await rig.sql.execute("SELECT pg_reload_conf()")
    yield
    target = await rig.sql.fetchval("SELECT pg_current_wal_lsn()")
    await rig.lead_to(standby)
    while not await rig.sql.fetchval("SELECT pg_last_wal_replay_lsn() >= $1", target):  # noqa: ASYNC110  no event says it
        await asyncio.sleep(0.05)
    await rig.sql.execute("SELECT pg_promote()")
    rig.retired.append(old)


@asynccontextmanager
async def connections_exhausted(rig: Rig) -> AsyncIterator[None]:
    """The server ends our connections and takes no more."""
    await rig.sql.execute("ALTER ROLE kb CONNECTION LIMIT 0")
    await rig.sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kb'")
    yield
    await rig.sql.execute("ALTER ROLE kb CONNECTION LIMIT -1")


@asynccontextmanager
async def deadlocking(rig: Rig) -> AsyncIterator[None]:
    """Somebody else locks our rows in every other order, so that the server gives up one of us again and again."""
    chance = random.Random(7)  # noqa: S311  the same order each time
    ids = [row["id"] for row in await rig.sql.fetch("SELECT id FROM kb.objects WHERE external_type = 'task'")]

    async def rival() -> None:
        connection = await asyncpg.connect(rig.sql_url)
        try:
            while True:
                try:
                    async with connection.transaction():
                        for id_ in chance.sample(ids, 8):
                            await connection.execute("SELECT FROM kb.objects WHERE id = $1 FOR UPDATE", id_)
                            await asyncio.sleep(0.02)
                except asyncpg.DeadlockDetectedError:
                    continue
        finally:
            connection.terminate()

    async with asyncio.TaskGroup() as group:
        rivals = [group.create_task(rival()) for _ in range(2)]
        yield
        for one in rivals:
            one.cancel()


@asynccontextmanager
async def spool_full(rig: Rig) -> AsyncIterator[None]:
    """The broker is away, and the disk under the spool is full: PostgreSQL's own error 53100 at every insert."""
    await rig.sql.execute("""
        CREATE FUNCTION kb.disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$""")
    await rig.sql.execute(
        "CREATE TRIGGER disk_full BEFORE INSERT ON kb.queue_messages FOR EACH ROW EXECUTE FUNCTION kb.disk_full()"
    )
    await rig.broker.cut()
    yield
    await rig.broker.mend()
    await rig.sql.execute("DROP FUNCTION kb.disk_full CASCADE")


@asynccontextmanager
async def both_away(rig: Rig) -> AsyncIterator[None]:
    """Neither store is to be had."""
    await rig.broker.cut()
    await rig.store.cut()
    yield
    await rig.store.mend()
    await rig.broker.mend()


# our programs


@asynccontextmanager
async def each_killed(rig: Rig) -> AsyncIterator[None]:
    """SIGKILL to one program of each kind, one after the other; a supervisor starts it again."""
    async with _one_by_one(rig, signal.SIGKILL):
        yield


@asynccontextmanager
async def each_stopped(rig: Rig) -> AsyncIterator[None]:
    """SIGTERM to one program of each kind, one after the other; a supervisor starts it again."""
    async with _one_by_one(rig, signal.SIGTERM):
        yield


@asynccontextmanager
async def each_frozen(rig: Rig) -> AsyncIterator[None]:
    """SIGSTOP for one program of each kind, one after the other, for four seconds each."""

    async def freeze(program: Program) -> None:
        program.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(4)
        finally:
            program.send(signal.SIGCONT)

    async with asyncio.TaskGroup() as group:
        for name in ("ingest", "knowledge", "sync-state", "journal"):
            group.create_task(freeze(rig.of(name)[0]))
            await asyncio.sleep(0.5)
        yield


@asynccontextmanager
async def all_consumers_killed(rig: Rig) -> AsyncIterator[None]:
    """SIGKILL to every consumer at once, for as long as it lasts."""
    consumers = [program for program in rig.programs if program.wanted and program.name != "ingest"]
    for program in consumers:
        program.wanted = False
        program.send(signal.SIGKILL)
    yield
    for program in consumers:
        program.wanted = True


@asynccontextmanager
async def rolled(rig: Rig) -> AsyncIterator[None]:
    """Every program replaced by a new one, as a rolling deployment does."""
    for program in [program for program in rig.programs if program.wanted]:
        new = rig.add(program.name)
        if new.port is not None:
            await rig.ready(new)
        await rig.without(program)
    yield


@asynccontextmanager
async def upgraded(rig: Rig) -> AsyncIterator[None]:
    """The schema is migrated under the old version, and then each program replaced by one of the new version."""
    rig.source = ROOT
    await rig.migrate()
    await asyncio.sleep(SECONDS)
    async with rolled(rig):
        yield


@asynccontextmanager
async def clock_ahead(rig: Rig) -> AsyncIterator[None]:
    """The programs' clocks jump an hour ahead, and back in the end."""
    async with _clock(rig, "+1h"):
        yield


@asynccontextmanager
async def clock_behind(rig: Rig) -> AsyncIterator[None]:
    """The programs' clocks jump an hour back, and ahead in the end."""
    async with _clock(rig, "-1h"):
        yield


@asynccontextmanager
async def names_gone(rig: Rig) -> AsyncIterator[None]:
    """No host name can be looked up, and the broker's connections break."""
    rig.names.write_text("")
    await rig.broker.cut()
    await rig.broker.mend()
    yield
    rig.names.write_text("127.0.0.1 localhost\n")


# ClickUp


@asynccontextmanager
async def source_slow(rig: Rig) -> AsyncIterator[None]:
    """Every answer takes three seconds."""
    rig.simulator.faults.api_latency = 3.0
    yield
    rig.simulator.faults.api_latency = 0.0


@asynccontextmanager
async def source_failing(rig: Rig) -> AsyncIterator[None]:
    """Every answer is a 500 or a 502."""
    rig.simulator.faults.api_error_rate = 1.0
    yield
    rig.simulator.faults.api_error_rate = 0.0


@asynccontextmanager
async def source_limiting(rig: Rig) -> AsyncIterator[None]:
    """Every answer is a 429."""
    rig.simulator.faults.rate_limited_until = datetime.now(UTC) + timedelta(seconds=SECONDS)
    yield
    rig.simulator.faults.rate_limited_until = None


@asynccontextmanager
async def source_half_open(rig: Rig) -> AsyncIterator[None]:
    """It takes connections and says nothing."""
    rig.api.silence()
    yield
    rig.api.speak()


@asynccontextmanager
async def _one_by_one(rig: Rig, number: signal.Signals) -> AsyncIterator[None]:
    for name in ("ingest", "knowledge", "sync-state", "journal"):
        rig.of(name)[0].send(number)
        await asyncio.sleep(1)
    yield


@asynccontextmanager
async def _clock(rig: Rig, offset: str) -> AsyncIterator[None]:
    rig.clock.write_text(f"{offset}\n")
    yield
    rig.clock.write_text("+0\n")


@asynccontextmanager
async def _again(act: Callable[[], object], *, pause: float) -> AsyncIterator[None]:
    async def repeat() -> None:
        while True:
            await asyncio.to_thread(act)
            await asyncio.sleep(pause)

    async with AsyncExitStack() as stack:
        task = asyncio.create_task(repeat())
        stack.callback(task.cancel)
        yield


def _faults() -> list[Fault]:
    return [
        Fault(part="RabbitMQ", name="killed", inject=broker_killed, breaks="confirms"),
        Fault(part="RabbitMQ", name="restarted", inject=broker_restarted, breaks="reconnect"),
        Fault(part="RabbitMQ", name="frozen", inject=broker_frozen, breaks="deadline"),
        Fault(part="RabbitMQ", name="silent network", inject=broker_silent, breaks="deadline"),
        Fault(part="RabbitMQ", name="refusing network", inject=broker_cut_off, breaks="spool"),
        Fault(part="RabbitMQ", name="memory alarm", inject=broker_alarmed, breaks="deadline"),
        Fault(part="RabbitMQ", name="queue full", inject=queue_full, breaks="confirms"),
        Fault(part="RabbitMQ", name="channels closed", inject=channels_closed, breaks="reconnect"),
        Fault(part="RabbitMQ", name="connections closed", inject=connections_closed, breaks="reconnect"),
        Fault(part="RabbitMQ", name="slow confirms", inject=confirms_slow, breaks="deadline"),
        Fault(part="PostgreSQL", name="killed", inject=database_killed, breaks="lookup"),
        Fault(part="PostgreSQL", name="restarted", inject=database_restarted, breaks="lookup"),
        Fault(part="PostgreSQL", name="frozen", inject=database_frozen, breaks="lookup"),
        Fault(part="PostgreSQL", name="silent network", inject=database_silent, breaks="lookup"),
        Fault(part="PostgreSQL", name="out of connections", inject=connections_exhausted, breaks="lookup"),
        Fault(part="PostgreSQL", name="deadlocks", inject=deadlocking, breaks="swallow"),
        Fault(part="PostgreSQL", name="failing over", inject=database_failing_over, breaks="keep"),
        Fault(part="both stores", name="away", inject=both_away, may_refuse=True, breaks="optimist"),
        Fault(part="both stores", name="broker away, disk full", inject=spool_full, may_refuse=True, breaks="optimist"),
        Fault(part="programs", name="each killed (-9)", inject=each_killed, breaks="ack"),
        Fault(part="programs", name="each stopped (TERM)", inject=each_stopped, breaks="early"),
        Fault(part="programs", name="each frozen", inject=each_frozen, breaks="ack"),
        Fault(part="programs", name="all consumers killed", inject=all_consumers_killed, breaks="ack"),
        Fault(part="programs", name="rolled", inject=rolled, breaks="early"),
        Fault(part="programs", name="upgraded over a migration", inject=upgraded, breaks="hasty", upgrade=True),
        Fault(part="clock", name="an hour ahead", inject=clock_ahead, breaks="stale", library=CLOCK),
        Fault(part="clock", name="an hour behind", inject=clock_behind, breaks="stale", library=CLOCK),
        Fault(part="names", name="gone", inject=names_gone, breaks="spool", library=NAMES),
        Fault(part="ClickUp", name="slow", inject=source_slow, breaks="giveup"),
        Fault(part="ClickUp", name="answering 5xx", inject=source_failing, breaks="giveup"),
        Fault(part="ClickUp", name="answering 429", inject=source_limiting, breaks="giveup"),
        Fault(part="ClickUp", name="half-open", inject=source_half_open, breaks="giveup"),
    ]


FAULTS: Final[Mapping[str, Fault]] = {f"{fault.part}: {fault.name}": fault for fault in _faults()}
