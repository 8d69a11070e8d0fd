"""The house's own rules that no linter knows: sizes, names, queries used and understood, links that lead somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer

from bench import picture
from cli.main import application, run
from cli.settings import EXAMPLES

ROOT = Path(__file__).parents[1]
PACKAGES = ("events", "schema", "integrations", "ingest", "consumers", "gallery", "cli")
QUERIES = {path.stem: path for path in (ROOT / "schema" / "queries").glob("*.sql")}
WRITTEN = (path for path in (ROOT / "docs").rglob("*.md") if "node_modules" not in path.parts)
DOCUMENTS = [ROOT / "README.md", *sorted(WRITTEN)]
MOST_LINES = 300
CALLS = {"fetch", "fetchrow", "fetchval", "execute", "sql", "_fetch"}
"""What takes the name of a query."""
WITHOUT_SCHEMA = {"migration_table"}
"""Makes the schema, in two statements, which cannot be prepared."""


def modules() -> Iterator[Path]:
    """The product's Python files."""
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def named() -> dict[str, set[str]]:
    """Names of queries in calls that take one, and all other strings that look like a name."""
    found: dict[str, set[str]] = {"called": set(), "written": set()}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found["written"].add(node.value)
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in CALLS:
                strings = {str(one.value) for one in node.args if isinstance(one, ast.Constant)}
                found["called"] |= {one for one in strings if re.fullmatch(r"[a-z]+(_[a-z]+)*", one)}
    return found


def test_no_file_of_the_product_is_long() -> None:
    """A file that fits in the head: at most 300 lines."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}
    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_nobody_else_has_modules_of_our_names() -> None:
    """No installed distribution brings a top-level module that ours would hide, or that would hide ours."""
    owners = metadata.packages_distributions()
    others = {name: sorted(set(owners.get(name, [])) - {"kb-ingest", "kb_ingest"}) for name in PACKAGES}
    assert not any(others.values()), others


def test_queries_are_called_by_names_that_exist() -> None:
    """Every name given to a call that runs a query is a file of `schema/queries`."""
    called = named()["called"]
    assert len(called) > 30
    assert called - QUERIES.keys() == set()


def test_every_query_is_used() -> None:
    """No file of `schema/queries` is left over: the product's code names each."""
    assert QUERIES.keys() - named()["written"] == set()


async def test_every_query_fits_the_schema(sql: Any) -> None:
    """PostgreSQL parses each and knows every table, column, function and type in it."""
    refused = {}
    for name in sorted(QUERIES.keys() - WITHOUT_SCHEMA):
        try:
            await sql.prepare(QUERIES[name].read_text())
        except asyncpg.PostgresError as error:
            refused[name] = str(error)
    assert refused == {}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The command, those below it, and so on."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


@pytest.mark.parametrize("program", ["ingest", "consume"])
def test_a_program_loads_what_it_needs(program: str) -> None:
    """Neither the simulator, nor the page, nor what checks its requests: megabytes each (decision 0028)."""
    code = f"import sys; from cli.main import application; application(['{program}']); print(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split())
    assert "cli.serving" in loaded
    assert loaded & {"pydantic", "fastapi", "gallery.app", "integrations.clickup.simulator", "cli.up"} == set()


COMMANDS = list(commands(typer.main.get_command(application([]))))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of the program, of every group and of every command says what it does and shows a call of it."""
    assert run([*path, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("Usage: ")
    assert "Example: " in printed
    assert " ".join(("kb-ingest", *path)) in printed.partition("Example: ")[2]


def test_help_lists_the_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """`kb-ingest --help` names every variable of the configuration."""
    assert run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert [name for name in EXAMPLES if name not in printed] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_documents_lead_somewhere(document: Path) -> None:
    """Every relative link of README and docs is a file or folder of this repository."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", text) if not re.match(r"[a-z]+:|#", target)]
    missing = [target for target in targets if not (document.parent / target.partition("#")[0]).exists()]
    assert missing == []


def test_documents_are_reached_from_the_readme() -> None:
    """README leads to every document, directly or through another one."""
    reached, todo = set[Path](), [ROOT / "README.md"]
    while todo:
        if (document := todo.pop()) not in reached:
            reached.add(document)
            links = re.findall(r"\]\(([^)#\s]+\.md)", document.read_text())
            todo += [(document.parent / link).resolve() for link in links if not re.match(r"[a-z]+:", link)]
    assert set(DOCUMENTS) - reached == set()


def test_the_picture_shows_the_tables() -> None:
    """docs/performance.svg is what `python -m bench.picture` makes of docs/performance.md now."""
    assert picture.PICTURE.read_text() == picture.picture(picture.tables(picture.PAGE.read_text()))
