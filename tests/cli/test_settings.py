"""The configuration: what is read, what is refused, and what `doctor` finds when it is tried."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import asyncpg
import orjson
import pytest

from cli.main import run
from cli.settings import EXAMPLES, ConfigurationError, Secret, Settings, load
from gallery.issuer import Issuer
from integrations import sealing
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.conftest import KEY, connect, named
from tests.source import INVISIBLE, NADIA, TEAM, Source

ROOT = Path(__file__).parents[2]
HUSH = "HushHush"
"""Part of a secret: shown nowhere."""
GOOD = bytes(range(32)).hex()
DEFAULTS: dict[str, object] = {
    "DATABASE_URL": None,
    "AMQP_URL": None,
    "INTEGRATION_ENCRYPTION_KEY": None,
    "PUBLIC_URL": None,
    "CLICKUP_API_URL": "https://api.clickup.com/api",
    "CLICKUP_APP_URL": "https://app.clickup.com/api",
    "INGEST_HOST": "127.0.0.1",
    "INGEST_PORT": 8080,
    "GALLERY_HOST": "127.0.0.1",
    "GALLERY_PORT": 8081,
    "METRICS_HOST": "127.0.0.1",
    "METRICS_PORT": None,
    "OIDC_ISSUER": None,
    "OIDC_AUDIENCE": None,
    "OIDC_SCOPE_CLAIM": "scope",
    "OIDC_ORG_CLAIM": None,
    "OIDC_CLIENT_ID": None,
    "OIDC_CLIENT_SECRET": None,
    "GALLERY_URL": None,
    "MAX_BODY_BYTES": 1048576,
    "SPOOL_MAX": 2000000,
    "COALESCE_SECONDS": 2,
    "WEBHOOK_CHECK_SECONDS": 60,
    "SYNC_MINUTES": 15,
    "SWEEP_HOURS": 24,
    "OTEL_EXPORTER_OTLP_ENDPOINT": None,
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """An environment and a working directory without configuration; logging is left as it was."""
    for name in {"amqp_url", "database_url", "empty_database_url"} & set(request.fixturenames):
        request.getfixturevalue(name)  # made from the environment, so before it is emptied
    monkeypatch.chdir(tmp_path)
    for name in EXAMPLES:
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def value(settings: Settings, name: str) -> Any:
    """What a variable came to, opened."""
    found = getattr(settings, name.lower())
    return found.value if isinstance(found, Secret) else found


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("DATABASE_URL", f"mysql://user:{HUSH}@host/kb", "postgresql://"),
        ("DATABASE_URL", HUSH, "postgresql://"),
        ("DATABASE_URL", f"postgresql://user:{HUSH}@[host/kb", "host and port"),
        ("DATABASE_URL", f"postgresql://user:{HUSH}@host:port/kb", "port"),
        ("DATABASE_URL", f"postgresql://user:{HUSH}@host:99999/kb", "port"),
        ("DATABASE_URL", f"postgresql://user:{HUSH}/x@host/kb", ""),  # an unescaped slash in the password
        ("DATABASE_URL", f"postgresql://user:{HUSH}\u2100@host/kb", ""),  # a character that hides a slash
        ("DATABASE_URL", f"postgresql://user:{HUSH}@host/kb?sslmode=none", "unknown sslmode"),
        ("DATABASE_URL", f"postgresql://user:{HUSH}@host/kb?sslrootcert=/{HUSH}.pem", "sslrootcert"),
        ("AMQP_URL", f"http://user:{HUSH}@host/", "amqp://"),
        ("AMQP_URL", f"amqp://user:{HUSH}@host/", "amqps://"),
        ("AMQP_URL", f"amqp://user:{HUSH}@host/?sslmode=require", "disable"),
        ("AMQP_URL", f"amqps://user:{HUSH}@host/?cafile=/{HUSH}.pem", "cafile"),
        ("AMQP_URL", f"amqp://user:{HUSH}@host:port/", "port"),
        ("AMQP_URL", f"amqp://user:{HUSH}#x@host/", ""),
        ("AMQP_URL", f"amqp://user:{HUSH}\u2100@host/", ""),
        ("INTEGRATION_ENCRYPTION_KEY", HUSH, "octets"),
        ("INTEGRATION_ENCRYPTION_KEY", f"{HUSH} is no key", "base64"),
        ("INTEGRATION_ENCRYPTION_KEY", f"{HUSH}ü", "base64"),
        ("INTEGRATION_ENCRYPTION_KEY", HUSH * 8, "hex"),
        ("INTEGRATION_ENCRYPTION_KEY", GOOD[:-4], "octets"),
        ("INTEGRATION_ENCRYPTION_KEY", f"{GOOD},{HUSH}", "key 2"),
        ("INTEGRATION_ENCRYPTION_KEY", " , ", "no encryption key"),
        ("PUBLIC_URL", "kb.acme.test", "https://"),
        ("PUBLIC_URL", f"https://user:{HUSH}@host:port", "port"),
        ("CLICKUP_API_URL", f"ftp://user:{HUSH}@host/api", "https://"),
        ("CLICKUP_API_URL", "https:///api", "host"),
        ("CLICKUP_APP_URL", f"app.clickup.com/{HUSH}", "https://"),
        ("OIDC_ISSUER", f"https://user:{HUSH}@login.acme.test/", "alone"),
        ("OIDC_ISSUER", "http://login.acme.test/", "https://"),
        ("OIDC_ISSUER", "login.acme.test", "https://"),
        ("INGEST_PORT", "eighty", "number"),
        ("INGEST_PORT", "65536", "65535"),
        ("INGEST_PORT", "-1", "65535"),
        ("GALLERY_PORT", "80.5", "number"),
        ("MAX_BODY_BYTES", "0", "above 0"),
        ("MAX_BODY_BYTES", "1MB", "number"),
        ("SYNC_MINUTES", "often", "number"),
        ("SYNC_MINUTES", "0", "above 0"),
        ("WEBHOOK_CHECK_SECONDS", "inf", "below a million"),
        ("SWEEP_HOURS", "nan", "number"),
        ("LOG_LEVEL", "loud", "warning"),
        ("LOG_FORMAT", "xml", "console"),
    ],
)
def test_a_malformed_value_is_refused_in_one_line(
    name: str, given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line begins with the variable, says what is wrong, gives the example, and keeps the value to itself."""
    monkeypatch.setenv(name, given)
    with pytest.raises(ConfigurationError) as raised:
        load()
    line = str(raised.value)
    assert line.startswith(f"{name} ")
    assert len(line.splitlines()) == 1
    assert said in line
    assert line.endswith(f"; for example {EXAMPLES[name]}")
    assert HUSH not in line
    assert given == "0" or given.strip(" ,") == "" or given not in line
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("name", ["database_url", "amqp_url", "integration_encryption_key"])
def test_a_missing_value_is_one_line(name: Literal["database_url", "amqp_url", "integration_encryption_key"]) -> None:
    """What a program cannot do without is named when it is asked for, with an example."""
    with pytest.raises(ConfigurationError) as raised:
        load().need(name)
    assert str(raised.value) == f"{name.upper()} is not set; for example {EXAMPLES[name.upper()]}"


def test_a_missing_key_opens_nothing() -> None:
    """Without a key there is no keyring, and the error says how to make one."""
    with pytest.raises(ConfigurationError, match=r"INTEGRATION_ENCRYPTION_KEY is not set; .*kb-ingest keys generate"):
        load().keyring()


def test_every_variable_has_an_example_and_is_documented() -> None:
    """Code, examples, defaults, `.env.example` and README speak of the same variables."""
    assert {one.name.upper() for one in fields(Settings)} == EXAMPLES.keys() == DEFAULTS.keys()
    for document in (".env.example", "README.md"):
        text = (ROOT / document).read_text()
        assert [name for name in EXAMPLES if name not in text] == []


@pytest.mark.parametrize("name", DEFAULTS)
def test_unset_and_empty_mean_the_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not there and one without a value are the same, and come to the documented default."""
    assert value(load(), name) == DEFAULTS[name]
    monkeypatch.setenv(name, "")
    assert value(load(), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"INTEGRATION_ENCRYPTION_KEY"}))
def test_an_example_is_a_good_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever copies the example out of an error message gets past it."""
    example = EXAMPLES[name].partition(" ")[0]
    for needed in ("OIDC_AUDIENCE", "OIDC_ISSUER", "GALLERY_URL"):  # by the issuer, and by the client
        monkeypatch.setenv(needed, EXAMPLES[needed])
    monkeypatch.setenv(name, example)
    given = value(load(), name)
    assert given == float(example) if isinstance(given, float) else str(given) == example


def test_the_env_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` in the working directory counts, quotes and comments as usual, foreign names do not matter."""
    (tmp_path / ".env").write_text(
        f"# ours\nDATABASE_URL='postgresql://user:{HUSH}@host/kb'\nINGEST_PORT=9090\nLOG_LEVEL=\nSOMEBODY_ELSES=1\n"
    )
    settings = load()
    assert value(settings, "DATABASE_URL") == f"postgresql://user:{HUSH}@host/kb"
    assert (settings.ingest_port, settings.log_level) == (9090, "info")
    monkeypatch.setenv("INGEST_PORT", "9091")
    assert load().ingest_port == 9091


def test_the_example_file_says_the_defaults(tmp_path: Path) -> None:
    """`.env.example` with everything uncommented is good, and only the addresses differ from the defaults."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = [line.removeprefix("# ") for line in lines if line.partition("=")[0].removeprefix("# ") in EXAMPLES]
    (tmp_path / ".env").write_text("\n".join(named))
    settings = load()
    different = {name for name, default in DEFAULTS.items() if value(settings, name) != default}
    assert different == {
        "DATABASE_URL", "AMQP_URL", "PUBLIC_URL", "METRICS_PORT", "OIDC_ISSUER", "OIDC_AUDIENCE",
        "OIDC_ORG_CLAIM", "OIDC_CLIENT_ID", "GALLERY_URL", "OTEL_EXPORTER_OTLP_ENDPOINT",
    }  # fmt: skip


def test_an_issuer_needs_an_audience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a token for any other program would do; without an issuer nobody's tokens count."""
    monkeypatch.setenv("OIDC_AUDIENCE", "kb-ingest")
    assert load().oidc() is None
    monkeypatch.setenv("OIDC_ISSUER", "http://127.0.0.1:8091/realms/acme/")
    assert load().oidc() == Issuer(issuer="http://127.0.0.1:8091/realms/acme/", audience="kb-ingest")
    monkeypatch.setenv("OIDC_SCOPE_CLAIM", "permissions")
    monkeypatch.setenv("OIDC_ORG_CLAIM", "org")
    configured = load().oidc()
    assert configured is not None
    assert (configured.scope_claim, configured.org_claim) == ("permissions", "org")
    monkeypatch.delenv("OIDC_AUDIENCE")
    with pytest.raises(ConfigurationError, match=r"OIDC_AUDIENCE .* for example"):
        load()


def test_an_unreadable_env_file_is_one_line(tmp_path: Path) -> None:
    """A `.env` that is not UTF-8 is a configuration error which names the file."""
    (tmp_path / ".env").write_bytes(b"LOG_LEVEL=\xfc\n")
    with pytest.raises(ConfigurationError, match=r"\.env"):
        load()


@pytest.mark.parametrize("level", ["debug", "INFO", "Warning", "eRROR"])
def test_the_log_level_is_written_in_any_case(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upper, lower and mixed case name the same level."""
    monkeypatch.setenv("LOG_LEVEL", level)
    assert load().log_level.lower() == level.lower()


@pytest.mark.parametrize(
    ("given", "count"),
    [(GOOD, 1), (GOOD.upper(), 1), (sealing.generate(), 1), (f" {GOOD} , {sealing.generate()},", 2)],
    ids=["hex", "upper case", "base64", "several"],  # the keys are new ones each time, which names must not be
)
def test_keys_come_in_hex_and_base64(given: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key or several with commas, in either form; the first one seals."""
    monkeypatch.setenv("INTEGRATION_ENCRYPTION_KEY", given)
    keyring = load().keyring()
    assert len(keyring.keys) == count
    assert keyring.open(keyring.seal(b"plain", row="row"), row="row") == b"plain"


def test_settings_do_not_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever prints or logs the settings prints no password and no key."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{HUSH}@host/kb")
    monkeypatch.setenv("AMQP_URL", f"amqps://user:{HUSH}@host/")
    monkeypatch.setenv("CLICKUP_API_URL", f"http://user:{HUSH}@host/api")
    monkeypatch.setenv("INTEGRATION_ENCRYPTION_KEY", GOOD)
    settings = load()
    for shown in (repr(settings), str(settings), f"{settings.database_url}", repr(settings.keyring())):
        assert HUSH not in shown
        assert GOOD not in shown


HOOK = {"id": "hook", "health": {"status": "active", "fail_count": 0}}


def clickup(*hooks: Mapping[str, Any], user: Any = None) -> dict[str, Any]:
    """A ClickUp with these webhooks."""
    return {"user": user or {"user": NADIA}, f"team/{TEAM}/webhook": {"webhooks": hooks}}


async def diagnosed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, **variables: str | None
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Run `doctor`; its exit code and its checks by subject."""
    for name, given in variables.items():
        monkeypatch.setenv(name, given or "")
    code = await asyncio.to_thread(run, ["doctor", "--json"])
    printed, complaints = capsys.readouterr()
    assert complaints == ("" if code == 0 else "error: something needs mending, see above\n")
    checks: dict[str, list[dict[str, Any]]] = {}
    for check in orjson.loads(printed):
        checks.setdefault(check["subject"], []).append(check)
        assert check["good"] or check["mend"]
    return code, checks


@pytest.fixture(scope="module")
async def installed(template: str, keyring: Keyring) -> AsyncIterator[tuple[str, str]]:
    """A database with one integration, which these tests leave as it is: its URL, and what `doctor` calls it."""
    server, name = os.environ["DATABASE_URL"], f"kb_installed_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(server)
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    database = await Database(named(server, name), program="test").open()
    yield named(server, name), f"clickup {(await connect(database, keyring)).id}"
    await database.close()
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


async def test_doctor_finds_all_good(
    amqp_url: str, installed: tuple[str, str],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With everything as it should be, each part is looked at, said to be good, and the exit code is 0."""
    async with Source().serving() as source:
        source.answers = clickup(HOOK)
        code, checks = await diagnosed(
            capsys, monkeypatch, AMQP_URL=amqp_url, DATABASE_URL=installed[0], CLICKUP_API_URL=source.url,
            INTEGRATION_ENCRYPTION_KEY=KEY,
        )  # fmt: skip
    subject = installed[1]
    assert code == 0
    assert checks.keys() == {"INTEGRATION_ENCRYPTION_KEY", "AMQP_URL", "DATABASE_URL", subject}
    assert [check["finding"] for check in checks[subject]] == [
        "token of Nadia Okafor",
        "webhook hook is active, 0 lost",
    ]
    assert all(check["good"] and not check["mend"] for found in checks.values() for check in found)


@pytest.mark.parametrize(
    ("answers", "finding"),
    [
        (clickup(), "no webhook"),
        (clickup(HOOK, {"id": "2", "health": {"status": "failing", "fail_count": 7}}), "2 is failing, 7 lost"),
        (clickup({"id": "3", "health": {"status": "suspended", "fail_count": 101}}), "3 is suspended, 101 lost"),
        (clickup({"id": "4", "health": None}), "webhook 4"),
        (clickup(user=(401, {"err": "Token invalid", "ECODE": "OAUTH_025"})), "OAUTH_025"),
        (clickup(user=INVISIBLE), "OAUTH_027"),
        ({"user": {"user": NADIA}}, "OAUTH_027"),
        (clickup(user=(429, {"err": "Rate limit reached", "ECODE": "APP_002"})), "429"),
        (clickup(user=(500, {})), "500"),
    ],
)
async def test_doctor_finds_what_is_wrong_at_clickup(
    answers: dict[str, Any], finding: str, installed: tuple[str, str],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A token, workspace or webhook that does not serve is a bad finding with its mend, and exit code 1."""
    async with Source().serving() as source:
        source.answers = answers
        variables = {"CLICKUP_API_URL": source.url, "INTEGRATION_ENCRYPTION_KEY": KEY, "DATABASE_URL": installed[0]}
        code, checks = await diagnosed(capsys, monkeypatch, **variables)
    (bad,) = [check for check in checks[installed[1]] if not check["good"]]
    assert code == 1
    assert finding in bad["finding"]
    assert "None" not in bad["finding"]


@pytest.mark.parametrize(
    ("change", "subject", "said"),
    [
        ({"INTEGRATION_ENCRYPTION_KEY": None}, "INTEGRATION_ENCRYPTION_KEY", "keys generate"),
        ({"INTEGRATION_ENCRYPTION_KEY": KEY[::-1]}, "clickup", "add the old key"),
        ({"DATABASE_URL": None}, "DATABASE_URL", "not set"),
        ({"DATABASE_URL": f"postgresql://user:{HUSH}@127.0.0.1:1/kb"}, "DATABASE_URL", "check"),
        ({"DATABASE_URL": "empty"}, "DATABASE_URL", "kb-ingest migrate"),
        ({"AMQP_URL": f"amqp://user:{HUSH}@127.0.0.1:1/"}, "AMQP_URL", "address"),
        ({"CLICKUP_API_URL": "http://127.0.0.1:1/api"}, "clickup", "ConnectError"),
    ],
    ids=["no key", "wrong key", "no database", "database away", "no schema", "broker away", "clickup away"],
)
async def test_doctor_finds_what_is_wrong_here(
    change: dict[str, str | None], subject: str, said: str, installed: tuple[str, str], empty_database_url: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A part of the configuration that does not work is a bad finding with its mend; the others are looked at still."""
    change = {name: empty_database_url if given == "empty" else given for name, given in change.items()}
    async with Source().serving() as source:
        source.answers = clickup(HOOK)
        variables = {"CLICKUP_API_URL": source.url, "INTEGRATION_ENCRYPTION_KEY": KEY, "DATABASE_URL": installed[0]}
        code, checks = await diagnosed(capsys, monkeypatch, **(variables | change))
    name = installed[1] if subject == "clickup" else subject
    bads = [check for found in checks.values() for check in found if not check["good"]]
    if change.get("INTEGRATION_ENCRYPTION_KEY"):  # another key is the variable's fault, and everything's it should open
        assert (bads[0]["subject"], "keys rotate" in bads.pop(0)["mend"]) == ("INTEGRATION_ENCRYPTION_KEY", True)
    (bad,) = bads
    assert (code, bad["subject"]) == (1, name)
    assert said in f"{bad['finding']}; {bad['mend']}"
    assert HUSH not in str(checks)
    assert {"INTEGRATION_ENCRYPTION_KEY", "AMQP_URL", "DATABASE_URL"} <= checks.keys()


async def test_doctor_leaves_a_disabled_integration_alone(
    database: Database, keyring: Keyring, database_url: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """An integration that was switched off is nothing bad; it says how to switch it on, and ClickUp is not asked."""
    one = await connect(database, keyring, enabled=False)
    async with Source().serving() as source:
        variables = {"CLICKUP_API_URL": source.url, "INTEGRATION_ENCRYPTION_KEY": KEY, "DATABASE_URL": database_url}
        code, checks = await diagnosed(capsys, monkeypatch, **variables)
        assert not source.calls
    assert (code, checks[f"clickup {one.id}"][0]["mend"]) == (0, f"kb-ingest integration enable {one.id}")
