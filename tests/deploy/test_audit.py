"""What is pinned, told to others: the bill of materials, and an audit that cannot pass without having looked."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from deploy import audit, sbom
from tests.deploy.reading import ROOT

CLEAN = "No known vulnerabilities found"
FOUND = "Found 1 known vulnerability in 1 package"


def test_the_bill_of_materials_names_every_pin() -> None:
    """With version and all hashes, as plain text searches find them; and everything hangs together."""
    text = (ROOT / "constraints.txt").read_text()
    bill = json.loads(sbom.ours())
    components = bill["components"]
    pinned = re.findall(r"^([^\s#]+)==([^\s;]+)", text, re.MULTILINE)
    assert len(pinned) > 50
    assert [(one["name"], one["version"]) for one in components] == pinned
    assert [one["content"] for component in components for one in component["hashes"]] == re.findall(
        r"sha256:([0-9a-f]{64})\b", text
    )
    assert all(component["hashes"] for component in components)
    assert {one["properties"][0]["value"] for one in components if "properties" in one} == set(
        re.findall(r" ; (.+) \\$", text, re.MULTILINE)
    )
    refs = [one["bom-ref"] for one in components]
    (root,) = {one["ref"] for one in bill["dependencies"]} - set(refs)
    assert root == bill["metadata"]["component"]["bom-ref"]
    below = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert set(refs) == {ref for refs in below.values() for ref in refs}
    assert "pkg:pypi/aiormq@" in " ".join(below[next(ref for ref in refs if "/aio-pika@" in ref)])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")


def test_the_bill_is_the_same_for_the_same_pins() -> None:
    """And another one for others."""
    assert sbom.ours() == sbom.ours()
    one, other = (sbom.pins(f"a=={version} \\\n    --hash=sha256:00\n") for version in (1, 2))
    documents = [sbom.document(pins, name="kb", version="1") for pins in (one, other)]
    assert documents[0]["serialNumber"] != documents[1]["serialNumber"]
    with pytest.raises(ValueError, match="neither a pin"):
        sbom.pins("--index-url https://user:password@example.org\n")


@pytest.mark.parametrize(
    ("said", "code", "verdict"),
    [
        (CLEAN, 0, 0),
        (FOUND, 1, 1),
        ("ERROR:pip_audit._cli:a: Dependency not found on PyPI and could not be audited", 1, 2),
        ("ConnectionError: Failed to resolve", 1, 2),
        ("", 3, 2),
    ],
)
def test_an_audit_that_did_not_look_has_not_passed(
    said: str, code: int, verdict: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clean, vulnerable and not audited are three exit codes, and the last is said in capitals."""
    tool = tmp_path / "tool.py"
    tool.write_text(
        f"import sys\nassert '--strict' in sys.argv and '--require-hashes' in sys.argv\n"
        f"print({said!r}, file=sys.stderr)\nsys.exit({code})\n"
    )
    assert audit.audit([sys.executable, str(tool)]) == verdict
    printed, complaint = capsys.readouterr()
    assert ("NOT audited" in complaint) == (verdict == 2)
    assert printed.count("nothing is known") == (len(audit.FILES) if verdict == 0 else 0)


def test_an_audit_without_its_tool_has_not_passed(tmp_path: Path) -> None:
    """Whatever is not there was not asked."""
    assert audit.audit([str(tmp_path / "nothing")]) == 2
