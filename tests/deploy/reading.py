"""What is in `deploy/`, read: files, and every place where a program of ours is run."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
KUBERNETES: Final = DEPLOY / "kubernetes"
PROMETHEUS: Final = DEPLOY / "prometheus"
UNITS: Final = sorted((DEPLOY / "systemd").glob("*.service"))
PAGE: Final = ROOT / "docs/deploying.md"
MACHINE: Final = "## A Debian machine, with systemd"
COMPOSE: Final = "## Compose"
SHELL: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WORKLOADS: Final = ("Deployment", "Job")


class Loader(yaml.SafeLoader):
    """Knows Compose's own tag."""


def _override(loader: Loader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


Loader.add_constructor("!override", _override)


def documents(path: Path) -> list[Any]:
    """The documents of a YAML file."""
    return [one for one in yaml.load_all(path.read_text(), Loader) if one is not None]


def manifests() -> Iterator[tuple[Path, Any]]:
    """Every Kubernetes object of the repository, kustomizations left out."""
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        if path.name != "kustomization.yaml":
            for one in documents(path):
                yield path, one


def pods() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The pod template of each workload."""
    for _, one in manifests():
        if one["kind"] in WORKLOADS:
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def compose() -> Mapping[str, Any]:
    """The compose file; its merge keys are resolved."""
    (found,) = documents(DEPLOY / "compose.yaml")
    return dict(found)


def unit(path: Path) -> configparser.ConfigParser:
    """A unit file. Of a key that is given several times only the last counts here."""
    parsed = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # the library's own way to keep capitals
    parsed.read_string(path.read_text())
    return parsed


@dataclass(frozen=True, slots=True)
class Run:
    """One program of ours somewhere: the words after `kb-ingest`, and the variables it is given."""

    where: str
    words: Sequence[str]
    variables: frozenset[str]


def runs() -> Iterator[Run]:
    """All of them."""
    for name, service in compose()["services"].items():
        if str(service["image"]).startswith("${KB_IMAGE"):
            yield Run(f"compose {name}", service["command"], frozenset(service["environment"]))
    config = {name for _, one in manifests() if one["kind"] == "ConfigMap" for name in one["data"]}
    for name, pod in pods():
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            if container["image"] == "kb-ingest":
                own = {variable["name"] for variable in container["env"]}
                yield Run(f"kubernetes {name}", container["args"], frozenset(own | config))
    for path in UNITS:
        service = unit(path)["Service"]
        _program, *words = shlex.split(service["ExecStart"])
        name, _, value = service.get("Environment", "").partition("=")
        words = [value if word == f"${{{name}}}" else word for word in words]
        yield Run(f"systemd {path.name}", words, frozenset())


def section(title: str) -> str:
    """What the page says under a heading of the second level."""
    return PAGE.read_text().partition(f"{title}\n")[2].partition("\n## ")[0]


def blocks() -> Iterator[tuple[str, str]]:
    """The headings and blocks of commands of the page's section on one machine, in its order."""
    for part in section(MACHINE).split("\n### ")[1:]:
        heading = part.partition("\n")[0]
        for block in SHELL.findall(part):
            yield heading, block


def commands(title: str) -> list[str]:
    """The lines of all blocks of a section whose commands are of one line each."""
    return "".join(SHELL.findall(section(title))).splitlines()
