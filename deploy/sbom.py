"""The bill of materials of what `constraints.txt` pins, as CycloneDX 1.6: `python -m deploy.sbom > sbom.cdx.json`.

Promises: every pinned package with its version and all its hashes, and who needs it; the same pins give the same
document, octet by octet; no network is asked.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

ROOT: Final = Path(__file__).parents[1]
PINNED: Final = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.+?))? ?\\?$")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package: where it is not wanted everywhere, its marker says where; `needed_by` are names of packages."""

    name: str
    version: str
    marker: str | None
    hashes: list[str] = field(default_factory=list)
    needed_by: list[str] = field(default_factory=list)

    @property
    def purl(self) -> str:
        """The package's address in the language of bills of materials."""
        return f"pkg:pypi/{self.name.lower().replace('_', '-')}@{self.version}"


def pins(text: str) -> list[Pin]:
    """What a constraints file pins. Raises `ValueError` for a line that is none of its kinds."""
    found: list[Pin] = []
    for line in text.splitlines():
        words = line.strip()
        if (pinned := PINNED.fullmatch(words)) is not None:
            found.append(Pin(pinned[1], pinned[2], pinned[3]))
        elif words.startswith("--hash=sha256:"):
            found[-1].hashes.append(words.removeprefix("--hash=sha256:").removesuffix(" \\"))
        elif words.startswith("#"):
            if (needed_by := re.sub(r"^#(\s+via\b)?\s*", "", words)) and found:
                found[-1].needed_by.append(needed_by)
        elif words:
            raise ValueError(f"neither a pin nor a hash nor a comment: {words[:80]}")
    return found


def document(found: list[Pin], *, name: str, version: str) -> dict[str, Any]:
    """The bill of materials of a program that has these packages."""
    us = f"pkg:generic/{name}@{version}"
    edges: dict[str, list[str]] = {us: [], **{pin.purl: [] for pin in found}}
    refs = {pin.name: pin.purl for pin in found}
    for pin in found:
        for one in pin.needed_by or [name]:  # what nobody needs is there to build us
            edges[refs.get(one, us)].append(pin.purl)
    body = {
        "metadata": {"component": {"type": "application", "bom-ref": us, "name": name, "version": version}},
        "components": list(_components(found)),
        "dependencies": [{"ref": ref, "dependsOn": sorted(below)} for ref, below in edges.items()],
    }
    serial = uuid5(NAMESPACE_URL, json.dumps(body, sort_keys=True))
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1, **body}


def _components(found: list[Pin]) -> Iterator[dict[str, Any]]:
    for pin in found:
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": pin.purl,
            "name": pin.name,
            "version": pin.version,
            "hashes": [{"alg": "SHA-256", "content": one} for one in pin.hashes],
            "purl": pin.purl,
        }
        if pin.marker is not None:
            component["properties"] = [{"name": "python:marker", "value": pin.marker}]
        yield component


def ours() -> str:
    """The document of this repository, as text."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = pins((ROOT / "constraints.txt").read_text())
    return json.dumps(document(found, name=project["name"], version=project["version"]), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(ours())
