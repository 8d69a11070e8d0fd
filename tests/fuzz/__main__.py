"""`python -m tests.fuzz SECONDS [--scorecard]`: the targets with inputs nobody has tried, for so long; then a table.

Half of the time hypothesis makes inputs from a fresh seed; the other half libFuzzer (atheris) follows what was reached
in the code, where it is installed. A failure is printed with the input that shows it, and ends the run with 1.
`--scorecard` writes the table to docs/scorecard.md.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import secrets
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import hypothesis

from tests.resilience import scorecard

GUIDED: Final = importlib.util.find_spec("atheris") is not None
INSTRUMENTED: Final = ["integrations", "events", "gallery.paging", "schema.records", "ingest.webhooks", "cli.settings"]
AT_ONCE: Final = 100


def all_targets() -> Mapping[str, Any]:
    """The targets; imported late, because coverage is only seen of what is imported under libFuzzer's eyes."""
    return importlib.import_module("tests.fuzz.targets").TARGETS  # type: ignore[no-any-return]  # a module's name


def any_inputs(target: Any, seconds: float) -> tuple[int, str | None]:
    """How many inputs hypothesis made, and what failed."""
    tried, until = 0, time.monotonic() + seconds
    inner = target.hypothesis.inner_test

    def counted(*arguments: Any, **named: Any) -> None:
        nonlocal tried
        tried += 1
        inner(*arguments, **named)

    target.hypothesis.inner_test = counted
    profile = hypothesis.settings(
        max_examples=AT_ONCE, deadline=None, database=None, print_blob=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    run = profile(target)
    try:
        while time.monotonic() < until:
            try:
                hypothesis.seed(secrets.randbits(64))(run)()
            except BaseException:
                return tried, traceback.format_exc()
    finally:
        target.hypothesis.inner_test = inner
    return tried, None


def guided_inputs(name: str, seconds: float) -> tuple[int, str | None]:
    """The same by libFuzzer, which ends its process: so in one of its own."""
    with TemporaryDirectory() as folder:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--guided", name, f"-max_total_time={max(1, round(seconds))}",
             "-print_final_stats=1", "-max_len=4096", f"-artifact_prefix={folder}/", "-timeout=20"],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        done = re.search(r"number_of_executed_units: (\d+)", ended.stderr)
        crashed = [path.read_bytes().hex() for path in Path(folder).iterdir()]
        failed = ended.returncode != 0 or crashed
        return int(done[1]) if done else 0, f"{ended.stdout}{ended.stderr[-4000:]}\n{crashed}" if failed else None


def guide(name: str, options: list[str]) -> None:
    """Hand this process over to libFuzzer."""
    import atheris  # noqa: PLC0415  only installed for this

    with atheris.instrument_imports(include=INSTRUMENTED):
        targets = all_targets()
    fuzz_one = targets[name].hypothesis.fuzz_one_input
    atheris.Setup([sys.argv[0], *options], fuzz_one)
    atheris.Fuzz()


def main(seconds: float, *, written: bool) -> int:
    """Run all targets and print the table."""
    targets = all_targets()
    each = seconds / len(targets) / (2 if GUIDED else 1)
    inputs, failures = Counter[tuple[str, str]](), {}
    for name, target in targets.items():
        ways = {"any": any_inputs(target, each)} | ({"guided": guided_inputs(name, each)} if GUIDED else {})
        for way, (tried, failure) in ways.items():
            inputs[name, way] = tried
            if failure is not None:
                failures[name, way] = failure
    for (name, way), failure in failures.items():
        sys.stdout.write(f"\n== {name} ({way})\n{failure}\n")
    rows = [
        (
            name,
            f"{inputs[name, 'any']:,}",
            f"{inputs[name, 'guided']:,}" if GUIDED else "-",
            str(sum((name, way) in failures for way in ("any", "guided"))),
        )
        for name in targets
    ]
    sys.stdout.write(f"\n{'target':<18}{'inputs':>12}{'guided':>12}{'crashes':>9}\n")
    for row in rows:
        sys.stdout.write("{:<18}{:>12}{:>12}{:>9}\n".format(*row))
    if not GUIDED:
        sys.stdout.write("atheris is not installed here: no inputs were guided by coverage\n")
    if written:
        said = f"{sum(inputs.values()):,} inputs in {seconds / 60:g} minutes; {scorecard.conditions()}."
        columns = ("what reads them", "inputs", "inputs guided by coverage", "crashes")
        scorecard.put("fuzz", "\n".join([said, "", *scorecard.markdown(columns, rows)]))
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--guided"]:
        guide(sys.argv[2], sys.argv[3:])
    words = [word for word in sys.argv[1:] if word != "--scorecard"]
    sys.exit(main(float((words or ["600"])[0]), written="--scorecard" in sys.argv))
