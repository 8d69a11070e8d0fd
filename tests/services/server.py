"""What the two test servers share: start, stop, kill and freeze a real server, leaving nothing behind.

Only the standard library, so that it also runs where nothing is installed yet.
"""

import atexit
import contextlib
import functools
import os
import pwd
import random
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

START_SECONDS = 90.0
STOP_SECONDS = 30.0
KILL_SECONDS = 10.0
HELD_PORTS = 200
"""How many of its ports a process holds for itself, the newest; a server that listens holds its own anyway."""
_signs: deque[int] = deque()


class ServiceError(RuntimeError):
    """A server cannot be had or does not obey; the message is one line and says what to do."""


def wait_until(probe: Callable[[], bool], deadline: float) -> bool:
    """Whether the probe came true within the deadline (seconds)."""
    end = time.monotonic() + deadline
    while not probe():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def free_port() -> int:
    """A port on 127.0.0.1 that is free now, that no outgoing connection takes later, and that is given out once.

    It lies below the system's range for outgoing connections: otherwise, while a killed server is away, a
    client's connection attempt could take the port as its own or even connect to itself. No other process of these
    tests is given it meanwhile: the UDP port of the same number, which nobody uses, is held as the sign of that.
    """
    for _ in range(200):
        port = random.randint(15_000, 32_000)  # noqa: S311 - a port, not a secret
        with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as sign:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                sign.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
                if len(_signs) == HELD_PORTS:
                    os.close(_signs.popleft())
                _signs.append(sign.detach())  # held by its bare number, so that nobody closes it but the system
                return port
    raise ServiceError("no free port between 15000 and 32000 on 127.0.0.1: end what occupies them")


def run(argv: Sequence[str], deadline: float, env: Mapping[str, str] | None = None, user: str | None = None) -> str:
    """The command's output; a ServiceError with its last words when it fails or takes too long."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=deadline,
            env=env,
            cwd="/",
            check=False,
            user=user,
            group=_group(user),
            extra_groups=[] if user else None,
        )
    except subprocess.TimeoutExpired:
        raise ServiceError(f"`{shlex.join(argv[:4])}` took more than {deadline:.0f} s") from None
    except OSError as error:
        raise ServiceError(f"`{shlex.join(argv[:4])}` cannot be run: {error}") from None
    if done.returncode:
        words = _one_line(done.stderr or done.stdout)
        raise ServiceError(f"`{shlex.join(argv[:4])}` failed ({done.returncode}): {words}")
    return done.stdout


@functools.cache
def docker_engine() -> str | None:
    """The docker client when an engine answers it within five seconds; a client alone is no engine."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    try:
        run([docker, "info", "--format", "{{.ServerVersion}}"], deadline=5)
    except ServiceError:
        return None
    return docker


def process_table() -> dict[int, int]:
    """Every living process's parent, by process id; zombies are not living."""
    if not Path("/proc/self/stat").exists():
        rows = (line.split() for line in run(["ps", "-A", "-o", "pid=,ppid=,stat="], deadline=5).splitlines())
        return {int(pid): int(parent) for pid, parent, state, *_ in rows if not state.startswith("Z")}
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    table[int(entry.name)] = int(parent)
    return table


def process_tree(root: int) -> list[int]:
    """The living process and its living descendants, parents first."""
    table = process_table()
    tree = [root] if root in table else []
    for parent in tree:  # grows while it is read
        tree.extend(pid for pid, its_parent in table.items() if its_parent == parent)
    return tree


class Host(Protocol):
    """Where a server runs: as processes of this machine or in a container. Data outlive everything but remove."""

    def launch(self) -> None:
        """Starts the server; it need not answer yet."""

    def alive(self) -> bool:
        """Whether the server's main process lives."""

    def terminate(self, deadline: float) -> None:
        """Ends the server in good order."""

    def kill(self) -> None:
        """Ends the server at once, as a power cut would."""

    def freeze(self) -> None:
        """Halts the server: its connections stay open and silent."""

    def thaw(self) -> None:
        """Lets a frozen server go on."""

    def last_words(self) -> str:
        """The end of the server's log, on one line."""

    def remove(self) -> None:
        """Ends the server and removes its data."""


class LocalHost:
    """The server as a process of this machine, with a folder of its own."""

    def __init__(self, name: str, *, stop_signal: signal.Signals = signal.SIGTERM, user: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"kbtest-{name}-"))
        self.argv: list[str] = []
        self.beside: list[str] = []  # a helper that must be there first, ended with the server
        self.env: dict[str, str] = {}
        self.user = user
        self._stop_signal = stop_signal
        self._main: subprocess.Popen[bytes] | None = None
        self._helper: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        if user:
            shutil.chown(self.folder, user)

    @property
    def pid(self) -> int | None:
        """The main process's id while it lives."""
        return self._main.pid if self._main and self.alive() else None

    def launch(self) -> None:
        """Starts the helper and the server, out of reach of the terminal's Ctrl-C."""
        if self.beside and (self._helper is None or self._helper.poll() is not None):
            self._helper = self._popen(self.beside, "helper.log")
        self._main = self._popen(self.argv, "server.log")
        self._watch()

    def alive(self) -> bool:
        """Whether the server's main process lives."""
        return self._main is not None and self._main.poll() is None

    def terminate(self, deadline: float) -> None:
        """Asks the server to end and waits for it and its helper; kills what does not."""
        obeyed = True
        if self._main and self.alive():
            family = process_tree(self._main.pid)
            self.thaw()
            self._main.send_signal(self._stop_signal)
            obeyed = wait_until(lambda: not self.alive(), deadline)
            if obeyed:
                obeyed = wait_until(lambda: not process_table().keys() & set(family), KILL_SECONDS)
        words = "" if obeyed else self.last_words()
        self.kill()
        self._end_helper()
        if not obeyed:
            raise ServiceError(f"the server did not end within {deadline:.0f} s and was killed; its log: {words}")

    def kill(self) -> None:
        """SIGKILL for the server and all its descendants at one moment."""
        if self._main and self.alive():
            family = self._halt()
            for pid in family:
                _signal(pid, signal.SIGKILL)
            self._main.wait(KILL_SECONDS)
            if not wait_until(lambda: not process_table().keys() & set(family), KILL_SECONDS):
                raise ServiceError(f"processes {family} outlive SIGKILL: the machine is overloaded, try again")
        if self._guard:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    def freeze(self) -> None:
        """SIGSTOP for the server and all its descendants."""
        self._halt()

    def thaw(self) -> None:
        """SIGCONT for the server and all its descendants."""
        for pid in reversed(process_tree(self._main.pid) if self._main else []):
            _signal(pid, signal.SIGCONT)

    def last_words(self) -> str:
        """The end of the server's log, on one line."""
        with contextlib.suppress(OSError):
            return _one_line((self.folder / "server.log").read_text(errors="replace"))
        return ""

    def remove(self) -> None:
        """Kills what still runs and removes the folder."""
        self.kill()
        self._end_helper()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _halt(self) -> list[int]:
        """The server's whole family, stopped: parents first, until none has had time for another child."""
        stopped: list[int] = []
        while self._main and (running := [p for p in process_tree(self._main.pid) if p not in stopped]):
            for pid in running:
                _signal(pid, signal.SIGSTOP)
            stopped += running
        return stopped

    def _popen(self, argv: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as output:
            try:
                return subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self.env,
                    cwd=self.folder,
                    start_new_session=True,
                    user=self.user,
                    group=_group(self.user),
                    extra_groups=[] if self.user else None,
                )
            except OSError as error:
                raise ServiceError(f"{argv[0]} cannot be run: {error}") from None

    def _watch(self) -> None:
        """Ends the server and removes its folder even if this very process is killed."""
        pids = [str(process.pid) for process in (self._main, self._helper) if process]
        script = f"read _; kill -KILL {' '.join(pids)}; sleep 1; rm -rf {shlex.quote(str(self.folder))}"
        if self._guard:
            self._guard.kill()
            self._guard.communicate()
        self._guard = subprocess.Popen(
            ["sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def _end_helper(self) -> None:
        if self._helper:
            self._helper.kill()
            self._helper.wait(KILL_SECONDS)
            self._helper = None


class ContainerHost:
    """The server in a container of the Docker engine, its port published on 127.0.0.1."""

    def __init__(self, name: str, image: str, publish: tuple[int, int], env: Mapping[str, str], *args: str) -> None:
        docker = docker_engine()
        if docker is None:
            raise ServiceError("no Docker engine answers: start it")
        self._docker = docker
        self._container = f"kbtest-{name}-{os.getpid()}-{publish[0]}"
        self._create = [docker, "create", "--name", self._container, "--hostname", name]
        self._create += ["--publish", f"127.0.0.1:{publish[0]}:{publish[1]}"]
        self._create += [word for key, value in env.items() for word in ("--env", f"{key}={value}")]
        self._create += [image, *args]
        self._created = False

    def launch(self) -> None:
        """Creates the container the first time, with the image pulled if need be, and starts it."""
        if not self._created:
            run(self._create, deadline=600)
            self._created = True
        self._say("start")

    def alive(self) -> bool:
        """Whether the container runs, frozen or not."""
        return self._created and self._say("inspect", "--format", "{{.State.Running}}").strip() == "true"

    def terminate(self, deadline: float) -> None:
        """Asks the server to end; the engine kills it after the deadline."""
        if self._created:
            self.thaw()
            self._say("stop", "-t", str(int(deadline)), deadline=deadline + KILL_SECONDS)

    def kill(self) -> None:
        """SIGKILL for everything in the container."""
        if self._created and self.alive():
            self.thaw()
            self._say("kill")

    def freeze(self) -> None:
        """Halts everything in the container."""
        self._say("pause")

    def thaw(self) -> None:
        """Lets a frozen container go on."""
        if self._say("inspect", "--format", "{{.State.Paused}}").strip() == "true":
            self._say("unpause")

    def execute(self, *argv: str, deadline: float) -> str:
        """The output of a command run in the container."""
        return self._say("exec", deadline=deadline, after=argv)

    def last_words(self) -> str:
        """The end of the server's log, on one line."""
        with contextlib.suppress(ServiceError):
            return _one_line(run(["sh", "-c", f"{self._docker} logs {self._container} 2>&1"], deadline=10))
        return ""

    def remove(self) -> None:
        """Ends and removes the container with its data."""
        if self._created:
            self._say("rm", "--force", "--volumes")
            self._created = False

    def _say(self, verb: str, *before: str, deadline: float = 60, after: Sequence[str] = ()) -> str:
        return run([self._docker, verb, *before, self._container, *after], deadline)


class Server(ABC):
    """A private server for tests: it keeps its port and its data from the first start until close."""

    product: str  # its name for people
    packages: tuple[str, ...]  # Debian's packages of it
    mend: str  # what to do where it cannot be had

    def __init__(self, host: Host, port: int, origin: str) -> None:
        self.host = host
        self.port = port
        self.origin = origin
        atexit.register(self.close)

    @classmethod
    @abstractmethod
    def find(cls) -> Self | None:
        """A server made of what this machine has, not started yet; None if it has nothing for one."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, the same for the server's whole life."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server serves clients right now, asked in its own protocol."""

    @property
    def running(self) -> bool:
        """Whether the server's process lives, frozen or not."""
        return self.host.alive()

    def start(self, deadline: float = START_SECONDS) -> Self:
        """Returns when the server serves clients; a ServiceError if it does not within the deadline."""
        if not self.running:
            self.host.launch()
        served = wait_until(lambda: self.answers() or not self.running, deadline)
        if not (served and self.running):
            why = f"did not serve within {deadline:.0f} s" if self.running else "ended while starting"
            words = self.host.last_words()
            self.host.kill()
            raise ServiceError(f"{self.product} ({self.origin}) {why}; its log: {words}")
        return self

    def stop(self, deadline: float = STOP_SECONDS) -> None:
        """Ends the server in good order and leaves no process; its data stay. Stopping twice is harmless."""
        self.host.terminate(deadline)

    def kill(self) -> None:
        """Ends the server at once, as a power cut would; its data stay."""
        self.host.kill()

    def freeze(self) -> None:
        """Halts the server with its connections open: clients see silence, not an error."""
        self.host.freeze()

    def thaw(self) -> None:
        """Lets a frozen server go on."""
        self.host.thaw()

    def restart(self, deadline: float = START_SECONDS) -> None:
        """Stops the server in good order and starts it again, on the same port with the same data."""
        self.stop()
        self.start(deadline)

    def close(self) -> None:
        """Leaves no process and no file of the server. Closing twice is harmless."""
        atexit.unregister(self.close)
        self.host.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def talk(port: int, greeting: bytes) -> bytes:
    """The first bytes of the server's answer to the greeting; empty if it has none within two seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(greeting)
            return connection.recv(64)
    except OSError:
        return b""


def plain_environment(*prefixes: str) -> dict[str, str]:
    """This process's environment without the variables that would configure the server from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def _group(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _one_line(text: str) -> str:
    return " ".join(text.split())[-400:]
