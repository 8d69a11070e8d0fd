"""`make walk`: a newcomer on a bare Debian machine does what docs/deploying.md says, line by line.

Every block of commands of its section on systemd is run as it stands there, in one login shell, in a machine of its
own. After some of them the walk looks whether what the page promises is so, kills and reboots; meanwhile the simulated
people's signed webhooks keep coming. It ends with 1 at the first thing that is not as written.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.deploy.reading import ROOT, blocks
from tests.services.server import ServiceError, run
from tests.walk import checks, promises
from tests.walk.machine import Machine, Shell
from tests.walk.promises import Failure, free, say

ADDRESS: Final = "https://git.example.com/kb-ingest.git"
"""Where the page clones from; the walk has a copy of this repository there."""
PORTS: Final = (4369, 5432, 5672, 8080, 8081, 8090, *range(8101, 8107), 9090, 15692, 25672)
LAST: Final = "15. Remove"
LATER: Final = "CREATE TABLE kb.walked ();\n"

Check = Callable[[Machine], str]
AFTER: Final[Mapping[str, tuple[Check, ...]]] = {
    "7. Start": (checks.ready, checks.on_loopback, checks.rated),
    "9. Prometheus": (checks.on_loopback, checks.scraped),
    "10. More of a consumer": (checks.shared, checks.killed, checks.scraped, lambda _: promises.dashboards()),
    "11. Update": (checks.updated, checks.ready),
    "12. A new encryption key": (checks.ready,),
    "13. New passwords": (checks.ready, promises.nothing_lost, promises.equal),
    "14. Back up, restore": (checks.ready, promises.equal, checks.late_database),
    LAST: (checks.removed,),
}
"""What is looked at after which steps; each says in a line what it saw."""


def main() -> int:
    """Walk; 0 if all is as written."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the machine ends, too
    options = argparse.ArgumentParser(prog="python -m tests.walk")
    options.add_argument("--release", default="bookworm", help="of Debian")
    options.add_argument("--keep", action="store_true", help="leave the machine's folder where it is")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="walk-"))
    began = time.monotonic()
    try:
        free(PORTS)
        (folder / "root").mkdir()
        machine = Machine(folder / "root", given.release)
        try:
            _publish(machine.root)
            machine.boot()
            walk(machine)
        finally:
            machine.stop()
    except (Failure, ServiceError) as failure:
        sys.stdout.write(f"FAILED: {failure}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if given.keep:
            sys.stdout.write(f"kept: {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"walked in {(time.monotonic() - began) / 60:.1f} minutes\n")
    return 0


def walk(machine: Machine) -> None:
    """Everything, in the page's order."""
    steps = list(blocks())
    if missing := AFTER.keys() - {heading for heading, _ in steps}:
        raise Failure(f"the page has no commands under {', '.join(sorted(missing))}")
    _do(machine, [step for step in steps if step[0] != LAST])
    say(f"== reboot\n   {checks.rebooted(machine)}")
    _do(machine, [step for step in steps if step[0] == LAST])


def _do(machine: Machine, steps: Sequence[tuple[str, str]]) -> None:
    with Shell(machine) as shell:
        for number, (heading, block) in enumerate(steps):
            say(f"== {heading}: {len(block.splitlines())} lines")
            if heading == "11. Update":
                _publish_later(machine.root)
            began = time.monotonic()
            shell.do(block)
            say(f"   done in {time.monotonic() - began:.0f} s")
            if heading not in [later for later, _ in steps[number + 1 :]]:
                for check in AFTER.get(heading, ()):
                    say(f"   {check(machine)}")


def _publish(root: Path) -> None:
    """What is committed here, where the page clones from."""
    run(["git", "clone", "--quiet", "--bare", str(ROOT), str(root / "srv/kb-ingest.git")], 60)
    (root / "etc/gitconfig").write_text(f'[url "/srv/kb-ingest.git"]\n\tinsteadOf = {ADDRESS}\n')
    run(["chown", "--recursive", "root:root", str(root / "srv")], 60)


def _publish_later(root: Path) -> None:
    """A commit more, with a migration."""
    source = str(root / "srv/kb-ingest.git")
    with tempfile.TemporaryDirectory() as folder:
        run(["git", "clone", "--quiet", source, folder], 60)
        Path(folder, "schema/migrations/9999_walked.sql").write_text(LATER)
        run(["git", "-C", folder, "add", "schema/migrations"], 60)
        who = ["-c", "user.name=walk", "-c", "user.email=walk@example.com"]
        run(["git", "-C", folder, *who, "commit", "--quiet", "--message", "A later version"], 60)
        run(["git", "-C", folder, "push", "--quiet", "origin", "HEAD"], 60)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        raise SystemExit(main())
