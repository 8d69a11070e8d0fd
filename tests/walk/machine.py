"""A bare Debian machine of its own, booted with systemd, in a folder of this one. All of it needs root.

It shares this machine's network, so the ports of its servers must be free. Whatever runs in it ends with it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final, Self

from tests.services.packages import install
from tests.services.server import ServiceError, process_tree, run, wait_until
from tests.walk import bare
from tests.walk.promises import Failure

BARE: Final = "systemd,systemd-sysv,dbus"
NAME: Final = "bare"
BOOT: Final = """\
mount -t cgroup2 cgroup2 /sys/fs/cgroup
own=/sys/fs/cgroup/walk-$$
mkdir $own
echo $$ > $own/cgroup.procs
while :; do
  systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe --resolv-conf=copy-host "$@" < /dev/null
  [ $? = 133 ] || break  # it asks to be booted again
done
echo $$ > /sys/fs/cgroup/cgroup.procs
for _ in 1 2 3 4 5 6 7 8 9; do
  find $own -depth -type d -exec rmdir {} + 2> /dev/null && break
  sleep 0.2
done
"""
PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
LOGIN: Final = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}


class Machine:
    """One that was made anew in `root`, and runs until `stop`."""

    def __init__(self, root: Path, release: str) -> None:
        self.root = root
        self._log = (root.parent / "console.log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None
        run(["cp", "--archive", f"{bare.made(release, release, BARE)}/.", str(root)], 300)
        (root / "etc/hostname").write_text(f"{NAME}\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {NAME}\n")
        bare.furnish(root, bare.pip_settings())

    def boot(self) -> None:
        """Returns when systemd has started all that is to start."""
        if shutil.which("systemd-nspawn") is None:
            install(["systemd-container"])
        shared = [f"--bind-ro={path}" for path in bare.places(bare.pip_settings())]
        options = [f"--directory={self.root}", f"--machine={NAME}", *shared]
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOOT, "sh", *options],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self.await_start()

    def await_start(self, *, after: int | None = None) -> None:
        """Until it runs; `after` a reboot, under another process id."""
        if not wait_until(lambda: self._running(after), 120):
            raise Failure(f"it did not start: {(self.root.parent / 'console.log').read_text(errors='replace')[-500:]}")

    def _running(self, after: int | None) -> bool:
        leader = self.leader
        if leader is None or leader == after:
            return False
        with contextlib.suppress(Failure):
            return self.run("systemctl is-system-running || true").strip() in ("running", "degraded")
        return False

    @property
    def leader(self) -> int | None:
        """The process id that its first process has out here."""
        return next((pid for pid in self.processes() if _is_first(pid)), None)

    def processes(self) -> list[int]:
        """All of its processes, and what boots it."""
        return [] if self._process is None else process_tree(self._process.pid)

    def entered(self, *argv: str) -> list[str]:
        """The command that runs this one inside, with a login's environment."""
        told = LOGIN | {name: os.environ[name] for name in PROXIES if name in os.environ}
        words = [f"{name}={value}" for name, value in told.items()]
        return ["nsenter", f"--target={self.leader}", "--all", "--wdns=/root", "--", "env", "--ignore-environment",
                *words, *argv]  # fmt: skip

    def run(self, command: str, within: float = 60) -> str:
        """What a command of bash says; a `Failure` when it fails or takes too long."""
        try:
            return run(self.entered("bash", "-c", command), within)
        except ServiceError as error:
            raise Failure(f"{command}: {error}") from None

    def operate(self, words: str, within: float = 60) -> str:
        """What an operator's command says."""
        return self.run(f"kb-ingest {words}", within)

    def sql(self, query: str, database: str = "kb") -> str:
        """One value, asked as the server's own user."""
        return self.run(f'su - postgres -c "psql --no-align --tuples-only {database}" <<< "{query}"').strip()

    def simulator(self) -> str:
        """All that it has said."""
        return self.run("journalctl --unit clickup-simulator --output cat")

    def stop(self) -> None:
        """Powers it off, or ends it."""
        if self._process is not None:
            with contextlib.suppress(Failure):
                self.run("systemctl poweroff")
            try:
                self._process.wait(90)
            except subprocess.TimeoutExpired:
                for pid in reversed(self.processes()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self._process.wait(30)
        self._log.close()


class Shell:
    """A newcomer's login shell on a machine: what one line sets the next ones have. The first that fails ends it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._numbers = itertools.count(1)
        self._places = machine.root / "root/walk"
        self._places.mkdir(exist_ok=True)
        self._bash = subprocess.Popen(
            machine.entered("bash", "--noprofile", "--norc"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._type("set -e")

    def _type(self, line: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{line}\n".encode())
        self._bash.stdin.flush()

    def do(self, block: str, within: float = 600) -> str:
        """Runs the lines of a block and says what they said."""
        name = f"{next(self._numbers)}"
        (self._places / name).write_text(block)
        said = self._places / f"{name}.log"
        self._type(f". /root/walk/{name} < /dev/null > /root/walk/{name}.log 2>&1; echo done")
        assert self._bash.stdout is not None
        ready, _, _ = select.select([self._bash.stdout], [], [], within)
        if not ready or self._bash.stdout.readline() != b"done\n":
            words = said.read_text(errors="replace")[-2000:] if said.exists() else "nothing"
            raise Failure(f"{'it failed' if ready else f'no end after {within:.0f} s'}; it said:\n{words}")
        return said.read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Logs out; what still runs there ends. A machine does not end before who looks at it from outside has left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait(10)


def _is_first(pid: int) -> bool:
    """Whether it is the first process of a namespace of its own."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        ids = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
        return len(ids) > 1 and ids[-1] == "1"
    return False
