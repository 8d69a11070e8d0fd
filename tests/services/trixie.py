"""Debian trixie in a folder of this checkout: RabbitMQ 4 and Compose 2 beside whatever this machine has.

Its programs have the folder as their root, and see this machine's processes, devices and temporary files. What is
mounted for that is seen by them alone and ends with them. All of it needs root.
Only the standard library, so that it also runs where nothing is installed yet.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from tests.services.packages import install
from tests.services.server import ServiceError, run

FOLDER = Path(__file__).parents[2] / ".rabbitmq4"
RELEASE = "trixie"
PACKAGES = ("rabbitmq-server", "docker-compose")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MEND = "install RabbitMQ 4, or run `make test-rabbitmq4` as root on Debian or Ubuntu, which makes a folder with it"
APART = ("unshare", "--mount", "--propagation", "private")
WHOLE = (*APART, "--pid", "--fork", "--kill-child", "--mount-proc")  # with what it starts: nothing of it is left behind
ENTER = """\
set -e
root=$1 shared=$2
shift 2
mkdir -p "$root$shared"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind "$shared" "$root$shared"
exec chroot "$root" "$@"
"""


def find() -> Path | None:
    """The folder if it was made and may be used, else None. One that an earlier version made may lack a package."""
    whole = all((FOLDER / f"var/lib/dpkg/info/{package}.list").exists() for package in PACKAGES)
    return FOLDER if whole and os.geteuid() == 0 else None


def make(deadline: float = 600) -> None:
    """Makes the folder: about 430 MB, within a minute. A ServiceError when it may not, cannot or takes too long.

    Whoever else is at it is waited for: workers of one run make it once.
    """
    if os.geteuid() != 0:
        raise ServiceError(f"only root makes a folder with RabbitMQ 4: {MEND}")
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if find() is None:
            _make(deadline)


def _make(deadline: float) -> None:
    if shutil.which("debootstrap") is None:
        install(["debootstrap", "debian-archive-keyring"])
    with tempfile.TemporaryDirectory(prefix=f"{FOLDER.name}-", dir=FOLDER.parent) as unfinished:
        made = Path(unfinished) / FOLDER.name
        argv = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, str(made)]
        try:
            run([*WHOLE, *argv], deadline)
        except ServiceError as error:
            raise ServiceError(f"debootstrap makes no folder with RabbitMQ 4 here: {error}") from None
        for package in (made / "var/cache/apt/archives").glob("*.deb"):
            package.unlink()
        if FOLDER.exists():
            FOLDER.rename(Path(unfinished) / "earlier")
        made.rename(FOLDER)


def inside(root: Path) -> list[str]:
    """What begins a command to run it with this root; it becomes the command, under the same process id."""
    return [*APART, "sh", "-c", ENTER, "sh", str(root), tempfile.gettempdir()]
