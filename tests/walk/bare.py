"""A bare Debian in a folder, as debootstrap makes it, and what this machine tells every apt and pip."""

from __future__ import annotations

import configparser
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.services.packages import install
from tests.services.server import run
from tests.services.trixie import WHOLE
from tests.walk.promises import Failure

FOLDER: Final = Path(__file__).parents[2] / ".walk"
"""Where bare systems are kept, as debootstrap makes them."""
PIP: Final = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")


def made(name: str, release: str, packages: str) -> Path:
    """The folder of a bare system with a few packages, made if it is not there: from 240 MB on, within a minute."""
    if os.geteuid() != 0:
        raise Failure("only root makes a system in a folder")
    if shutil.which("debootstrap") is None:
        install(["debootstrap", "debian-archive-keyring"])
    folder = FOLDER / name
    if not folder.exists():
        FOLDER.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as unfinished:
            argv = ["debootstrap", "--variant=minbase", f"--include={packages}", release, f"{unfinished}/{name}"]
            run([*WHOLE, *argv], 600)
            Path(unfinished, name).rename(folder)
    return folder


def furnish(root: Path, settings: Mapping[str, str]) -> None:
    """What apt is told on this machine, whom it trusts, and these settings of pip."""
    for folder in ("etc/apt/apt.conf.d", "etc/apt/auth.conf.d", "usr/local/share/ca-certificates"):
        if Path("/", folder).is_dir():
            shutil.copytree(Path("/", folder), root / folder, dirs_exist_ok=True)
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_dict({"global": settings})
    with (root / "etc/pip.conf").open("w") as file:
        parsed.write(file)


def pip_settings() -> Mapping[str, str]:
    """What this machine tells every pip: files, then variables."""
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read([Path(path).expanduser() for path in PIP])
    found = dict(parsed["global"]) if "global" in parsed else {}
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


def places(settings: Mapping[str, str]) -> Sequence[str]:
    """The files and folders of this machine that settings name, certificates left out: packages bring those."""
    words = [word for name in settings if name != "cert" for word in settings[name].split()]
    indexes = {str(Path(word.removeprefix("file://")).parent) for word in words if word.startswith("file:///")}
    return sorted(indexes | {word for word in words if word.startswith("/") and Path(word).exists()})
