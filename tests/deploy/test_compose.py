"""Compose itself reads what is in `deploy/`: no engine, only its own `config`.

It is the newest Compose 2 that can be had: the one that is installed, else the one of Debian trixie, which root makes
in a folder anyhow (`tests.services.trixie`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.deploy.reading import DEPLOY, PAGE
from tests.services import trixie
from tests.services.server import ServiceError

MAKE_SECONDS, RUN_SECONDS = 120, 20
MADE: Final = "usr/libexec/docker/cli-plugins/docker-compose"
INSTALLED: Final = [
    Path(folder, "docker-compose")
    for folder in (
        Path.home() / ".docker/cli-plugins",
        "/usr/local/lib/docker/cli-plugins",
        "/usr/local/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
    )
]
"""Where Docker looks for it."""
THREE: Final = DEPLOY / "compose.rabbitmq-3.yaml"


def oldest() -> tuple[int, ...]:
    """What the page asks for."""
    (said,) = re.findall(r"^With Docker Compose ([\d.]+) or later", PAGE.read_text(), re.MULTILINE)
    return tuple(map(int, said.split(".")))


def version(program: Path) -> tuple[int, ...]:
    """Which Compose it is; nothing for what is none, cannot be run here, or is the old one in Python."""
    try:
        said = subprocess.run([program, "version", "--short"], capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ()
    return tuple(map(int, re.findall(r"\d+", said.stdout)[:2]))


@pytest.fixture(scope="module")
def program() -> str:
    """A Compose as new as the page asks for. That there is none is a reason to skip."""
    here = max([*INSTALLED, Path(shutil.which("docker-compose") or "none")], key=version)
    if version(here) >= oldest():
        return str(here)
    try:
        trixie.make(MAKE_SECONDS)
    except ServiceError as error:
        pytest.skip(f"no Docker Compose {'.'.join(map(str, oldest()))} or later here, and: {error}")
    made = trixie.FOLDER / MADE
    assert version(made) >= oldest(), f"{made} is not what it was made for"
    return str(made)


def settings(folder: Path, without: str | None = None) -> Path:
    """The example with everything filled in, but for one variable."""
    text = re.sub(r"^(\w+)=$", r"\1=filled1in", (DEPLOY / "example.env").read_text(), flags=re.MULTILINE)
    written = folder / "env"
    written.write_text(re.sub(rf"^{without}=.*\n", "", text, flags=re.MULTILINE))
    return written


def complaint(program: str, env: Path, files: Sequence[Path], wanted: Sequence[str] = ("--quiet",)) -> tuple[int, str]:
    """How `config` ends, and what it says."""
    argv = [program, f"--env-file={env}", *(f"--file={file}" for file in files), "config", *wanted]
    bare = {"PATH": os.defpath, "HOME": str(env.parent)}  # nothing of this machine fills a variable in
    done = subprocess.run(argv, env=bare, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    return done.returncode, done.stdout + done.stderr


pytestmark = pytest.mark.timeout(2 * MAKE_SECONDS + 60)  # another worker may have been at it before, in vain


@pytest.mark.parametrize("more", [[], [THREE]], ids=["rabbitmq-4", "rabbitmq-3"])
def test_compose_takes_the_files(program: str, tmp_path: Path, more: list[Path]) -> None:
    """With every variable filled in it has nothing to say, not even a warning."""
    assert complaint(program, settings(tmp_path), [DEPLOY / "compose.yaml", *more]) == (0, "")


def test_the_other_rabbitmq_has_an_image_and_data_of_its_own(program: str, tmp_path: Path) -> None:
    """As Compose itself merges the two files: 4's data would be 3's end."""
    code, said = complaint(program, settings(tmp_path), [DEPLOY / "compose.yaml", THREE], ())
    service = yaml.safe_load(said)["services"]["rabbitmq"]
    assert code == 0
    assert service["image"].startswith("rabbitmq:3.13-")
    assert [volume["source"] for volume in service["volumes"]] == ["rabbitmq3"]


def test_programs_may_be_told_more(program: str, tmp_path: Path) -> None:
    """What is in programs.env reaches each of our programs and nobody else, and overrides nothing."""
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    (tmp_path / "deploy/programs.env").write_text("OIDC_ISSUER=https://login.example.com\nLOG_LEVEL=debug\n")
    code, said = complaint(program, settings(tmp_path), [tmp_path / "deploy/compose.yaml"], ())
    services = yaml.safe_load(said)["services"]
    assert code == 0
    told = {name for name, one in services.items() if "OIDC_ISSUER" in one.get("environment", {})}
    assert told == {name for name, one in services.items() if one["image"].startswith("kb-ingest:")}
    assert {services[name]["environment"]["LOG_LEVEL"] for name in told} == {"info"}


@pytest.mark.parametrize("variable", re.findall(r"^(\w+)=", (DEPLOY / "example.env").read_text(), re.MULTILINE))
def test_a_missing_variable_is_named(program: str, tmp_path: Path, variable: str) -> None:
    """Nothing starts with an empty password; only what has a default may be left out."""
    code, said = complaint(program, settings(tmp_path, without=variable), [DEPLOY / "compose.yaml"])
    assert (code == 0) is (variable == "LOG_LEVEL"), said
    assert code == 0 or variable in said


@pytest.mark.parametrize(
    ("was", "planted", "says"),
    [
        ("    command: [gallery]\n", "    command: [gallery]\n    comand: [gallery]\n", "comand"),
        ("condition: service_healthy", "condition: service_helthy", "condition"),
        ("depends_on: [prometheus]", "depends_on: [promotheus]", "promotheus"),
        ('volumes: ["prometheus:/prometheus"]', 'volumes: ["promotheus:/prometheus"]', "promotheus"),
        ("{source: alerts,", "{source: alert,", "alert"),
        ("interval: 10s", "interval: 10 of seconds", "interval"),
        ("restart: unless-stopped", "restart: [unless-stopped]", "restart"),
    ],
)
def test_what_is_wrong_is_found(program: str, tmp_path: Path, was: str, planted: str, says: str) -> None:
    """The check can fail: unknown keys and conditions, what nobody declares, values of another type."""
    text = (DEPLOY / "compose.yaml").read_text()
    assert was in text
    (tmp_path / "compose.yaml").write_text(text.replace(was, planted))
    code, said = complaint(program, settings(tmp_path), [tmp_path / "compose.yaml"])
    assert code != 0
    assert says in said
