"""A private RabbitMQ node for tests: on ports of its own, with its own data, and none of its processes left.

It is the newest RabbitMQ that is installed; RABBITMQ_VERSION=4 in the environment asks for that version, if need be out
of a folder with a newer Debian (`tests.services.trixie`).
"""

import os
import re
import shutil
import time
from pathlib import Path
from typing import Self

from tests.services import trixie
from tests.services.server import (
    START_SECONDS,
    ContainerHost,
    LocalHost,
    Server,
    ServiceError,
    docker_engine,
    free_port,
    plain_environment,
    run,
    talk,
)

IMAGES = {None: "rabbitmq:3.13", 4: "rabbitmq:4.1"}  # by the version that is asked for
SCRIPT_FOLDERS = (  # the product's own scripts: Debian's wrappers in /usr/sbin insist on the user rabbitmq
    "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    "opt/homebrew/opt/rabbitmq/sbin",
    "usr/local/opt/rabbitmq/sbin",
    "opt/rabbitmq*/sbin",
)
MEMORY = "1GB"  # above this the node blocks publishers: a memory alarm
CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
log.file = false
log.console = true
log.console.level = warning
vm_memory_high_watermark.absolute = {memory}
disk_free_limit.absolute = 50MB
"""
ERLANG_CONFIG = "[{rabbit, [{quorum_tick_interval, 500}]}].\n"  # ms; queue_lengths lags by this, 5 s by default
VIRTUAL_HOST = """\
rabbit_vhost:add(<<"NAME">>, <<"guest">>),
rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"NAME">>, <<".*">>, <<".*">>, <<".*">>, <<"guest">>),
"""  # in one call, for each one boots an Erlang of its own
ERLANG_HOSTS = '{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file]}.\n'  # the node asks no name server


class RabbitMQServer(Server):
    """A RabbitMQ node of one's own, user guest, password guest, virtual host /, without plugins."""

    product = "RabbitMQ"
    packages = ("rabbitmq-server",)
    mend = "install it (Debian/Ubuntu: apt-get install rabbitmq-server; macOS: brew install rabbitmq)"

    def __init__(self, scripts: Path | None = None, root: Path | None = None) -> None:
        """A node run by the scripts of an installed RabbitMQ, or in a container without them.

        The scripts may be installed below another root than this machine's.
        """
        self._inside = trixie.inside(root) if root else []
        self._scripts = f"/{scripts.relative_to(root)}" if scripts and root else scripts
        self._node = ""
        port = free_port()
        if scripts is None:
            image = IMAGES[asked()]
            super().__init__(ContainerHost("rabbitmq", image, (port, 5672), {}), port, f"Docker, {image}")
        else:
            where = trixie.RELEASE if root else "installed"
            super().__init__(LocalHost("rabbitmq"), port, f"{where} {version(scripts)}")
            self._configure()

    @classmethod
    def find(cls) -> Self | None:
        """A node made of the newest installed RabbitMQ, else of a Docker engine, else None.

        Where a version is asked for, only that is found, also in the folder of `tests.services.trixie`.
        """
        scripts, root = _found()
        return cls(scripts, root) if scripts or docker_engine() else None

    @property
    def url(self) -> str:
        """Where clients connect, the same for the node's whole life."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def answers(self) -> bool:
        """Whether the node opens an AMQP connection; it listens only once its queues have recovered."""
        return talk(self.port, b"AMQP\x00\x00\x09\x01").startswith(b"\x01\x00\x00")

    def kill(self, settle: float = 1.0) -> None:
        """Ends the node at once, as a power cut would, after `settle` seconds.

        A node killed within half a second of a quorum queue's declaration never gets that queue working again
        (seen in 3.10: the register of queues is not flushed at once). Confirmed messages need no settling.
        """
        time.sleep(settle)
        super().kill()

    def ctl(self, *words: str, deadline: float = 30) -> str:
        """What `rabbitmqctl` with these words says: `ctl("list_queues", "name", "messages")`."""
        if isinstance(self.host, ContainerHost):
            return self.host.execute("rabbitmqctl", "--quiet", *words, deadline=deadline)
        assert isinstance(self.host, LocalHost)
        argv = [*self._inside, f"{self._scripts}/rabbitmqctl", "--quiet", "--node", self._node, *words]
        return run(argv, deadline, self.host.env)

    def memory_alarm(self, *, on: bool) -> None:
        """Raises or clears the node's memory alarm: while it is on, the node takes no message from publishers."""
        self.ctl("set_vm_memory_high_watermark", *(["0"] if on else ["absolute", MEMORY]))

    def queue_lengths(self) -> dict[str, int]:
        """Messages in each queue, delivered but unacknowledged ones included, as of a second ago.

        In a container as of five seconds ago.
        """
        rows = self.ctl("list_queues", "name", "messages", "--no-table-headers").splitlines()
        return {name: int(count) for name, count in (row.split("\t") for row in rows if "\t" in row)}

    def add_virtual_hosts(self, count: int) -> list[str]:
        """URLs of so many new virtual hosts, for workers that must not meet."""
        names = [f"worker{number}" for number in range(count)]
        self.ctl("eval", " ".join(VIRTUAL_HOST.replace("NAME", name) for name in names) + " ok.")
        return [f"{self.url}{name}" for name in names]

    def _configure(self) -> None:
        assert isinstance(self.host, LocalHost)
        folder = self.host.folder
        names_port = free_port()
        self._node = f"kbtest-{os.getpid()}-{self.port}@localhost"
        (folder / "home").mkdir()
        (folder / "rabbitmq.conf").write_text(CONFIG.format(port=self.port, memory=MEMORY))
        (folder / "advanced.config").write_text(ERLANG_CONFIG)
        (folder / "enabled_plugins").write_text("[].\n")
        (folder / "rabbitmq-env.conf").write_text("")
        (folder / "hosts").write_text(ERLANG_HOSTS)
        self.host.argv = [*self._inside, f"{self._scripts}/rabbitmq-server"]
        # Erlang would start its name service by itself and leave it behind; ours is a child and ends with us.
        names = "epmd" if self._inside else _epmd()
        self.host.beside = [*self._inside, names, "-port", str(names_port), "-address", "127.0.0.1"]
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        place = {"PATH": trixie.PATH, "LC_ALL": "C.UTF-8"} if self._inside else {}
        self.host.env = plain_environment("RABBITMQ_", "ERL_", "NOTIFY_") | place
        self.host.env |= {
            "HOME": f"{folder}/home",
            "ERL_EPMD_PORT": str(names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_INETRC": f"{folder}/hosts",
            "ERL_CRASH_DUMP": "/dev/null",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            # Two schedulers, unbound and not spinning: several nodes and the tests share a small machine.
            "RABBITMQ_SERVER_ERL_ARGS": "+P 1048576 +t 5000000 +zdbbl 128000 +sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"+S 2:2 {loopback}",
            "RABBITMQ_CTL_ERL_ARGS": f"+S 1:1 {loopback}",
            "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the node instead of waiting beside it
        }


def find_rabbitmq() -> RabbitMQServer:
    """A private node, not started yet; a ServiceError that says what to install when there is none to be had."""
    found = RabbitMQServer.find()
    if found is None:
        mend = trixie.MEND if asked() else RabbitMQServer.mend
        raise ServiceError(f"no RabbitMQ of its own for this test: {mend}, or start Docker")
    return found


def asked() -> int | None:
    """The version that RABBITMQ_VERSION asks for; None if any will do."""
    given = os.environ.get("RABBITMQ_VERSION")
    if given not in (None, "", "4"):
        raise ServiceError("RABBITMQ_VERSION may be 4, or unset for what is installed")
    return int(given) if given else None


def found_version() -> str:
    """Of what version the nodes are that `find_rabbitmq` finds; "unknown" in a container."""
    scripts, _ = _found()
    return version(scripts) if scripts else "unknown"


def version(scripts: Path) -> str:
    """Which RabbitMQ these scripts are of."""
    found = re.search(r"(?:rabbitmq_server-|rabbitmq/)(\d[\d.]*)", str(scripts.resolve()))
    return found[1] if found else str(scripts)


def _found() -> tuple[Path | None, Path | None]:
    """The scripts, and the root that they need if it is not this machine's."""
    if scripts := _scripts(Path("/")):
        return scripts, None
    root = trixie.find() if asked() else None
    return (_scripts(root), root) if root else (None, None)


def _scripts(root: Path) -> Path | None:
    """The newest that are installed there, of the version that is asked for."""
    here = root == Path("/")
    if here and shutil.which("erl") is None:
        return None
    folders = [folder for pattern in SCRIPT_FOLDERS for folder in root.glob(pattern)]
    if here and (on_path := shutil.which("rabbitmq-server")):
        folders.append(Path(on_path).resolve().parent)
    usable = [folder for folder in folders if (folder / "rabbitmq-env").exists()]
    if (wanted := asked()) is not None:
        usable = [folder for folder in usable if _version(folder)[:1] == [wanted]]
    return max(usable, key=_version, default=None)


def _version(folder: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", folder.resolve().parent.name)]


def _epmd() -> str:
    if found := shutil.which("epmd"):
        return found
    ask = 'io:put_chars(os:find_executable("epmd")), halt().'
    return run(["erl", "-noinput", "-boot", "start_clean", "-eval", ask], deadline=START_SECONDS).strip()
