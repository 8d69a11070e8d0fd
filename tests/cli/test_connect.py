"""`integration connect`: ClickUp's OAuth from the address that is printed to the integration, and every way it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import orjson
import pytest
import respx

from cli.main import run
from cli.settings import EXAMPLES
from integrations.clickup.simulator.oauth import OAuthApp
from integrations.clickup.simulator.server import Simulator
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.conftest import KEY, Connected, connect, until

APP = OAuthApp(client_id="APP7K2Q", client_secret="SHHSHHSHHSHH", redirect_uris=("http://127.0.0.1:",))
PROJECT: Final = "6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10"
WORDS: Final = f"integration connect --client-id {APP.client_id} --org acme --project {PROJECT} --port 0".split()
ADDRESS: Final = re.compile(r"^http\S+/api\?\S+$", re.MULTILINE)
CLICKUP: Final = "https://clickup.test/api"


class Command:
    """`integration connect` on its way, inside the test, and the browser that is used with it."""

    def __init__(self, capsys: pytest.CaptureFixture[str], http: httpx.AsyncClient) -> None:
        self._capsys = capsys
        self._http = http
        self._running: asyncio.Task[int] | None = None
        self.out = self.err = ""

    def start(self, *words: str, secret: str | None = APP.client_secret) -> None:
        """Begin."""
        given = ["--client-secret", secret] if secret is not None else []
        self._running = asyncio.create_task(asyncio.to_thread(run, [*WORDS, *given, *words]))

    def heard(self) -> str:
        """All that was printed so far."""
        out, err = self._capsys.readouterr()
        self.out, self.err = self.out + out, self.err + err
        return self.out + self.err

    async def address(self) -> str:
        """The address that people are to open."""
        await until(lambda: ADDRESS.search(self.heard()) is not None)
        found = ADDRESS.search(self.out + self.err)
        assert found is not None
        return found.group()

    async def answered(self, **query: str) -> httpx.Response:
        """The browser comes back with this; the state is the right one unless another is given."""
        sent = parse_qs(urlsplit(await self.address()).query)
        params = {"state": sent["state"][0]} | query
        return await self._http.get(
            sent["redirect_uri"][0], params={name: value for name, value in params.items() if value}
        )

    async def allowed(self) -> httpx.Response:
        """Somebody opens the address and allows the app; the page in the end."""
        return await self._http.get(await self.address(), follow_redirects=True)

    async def ended(self) -> int:
        """Its exit code."""
        assert self._running is not None
        code = await self._running
        self.heard()
        return code

    async def failed(self) -> str:
        """Its complaint, which is one line; the exit code is 1."""
        assert await self.ended() == 1
        assert re.fullmatch(r"error: [^\n]+\n", self.err), self.err
        return self.err


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> Iterator[Callable[..., None]]:
    """Sets variables, beside a database and a key; logging is left as it was."""
    monkeypatch.chdir(tmp_path)
    for name in EXAMPLES:
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def set_(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    set_(DATABASE_URL=database_url, INTEGRATION_ENCRYPTION_KEY=KEY, CLICKUP_API_URL=CLICKUP, CLICKUP_APP_URL=CLICKUP)
    yield set_
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
async def command(
    configure: Callable[..., None],  # noqa: ARG001  the environment it runs in
    capsys: pytest.CaptureFixture[str],
) -> AsyncIterator[Command]:
    async with httpx.AsyncClient(timeout=20) as http:
        yield Command(capsys, http)


@pytest.fixture
async def simulator(configure: Callable[..., None]) -> AsyncIterator[Simulator]:
    """A ClickUp with our app, served where the configuration says."""
    one = Simulator(seed=4, token="pk_owner", oauth_app=APP)
    async with one.serving() as url:
        configure(CLICKUP_API_URL=url, CLICKUP_APP_URL=url)
        yield one


async def stored(sql: Any, keyring: Keyring) -> list[tuple[dict[str, Any], str]]:
    """The opened settings of all integrations, each with its whole row as text."""
    rows = await sql.fetch("SELECT * FROM kb.integrations")
    return [
        (
            orjson.loads(keyring.open(row["settings_encrypted"], row=f"integrations/{row['id']}/settings")),
            f"{list(row)} {row['settings_encrypted'].hex()}",
        )
        for row in rows
    ]


async def test_the_whole_way(
    simulator: Simulator, sql: Any, keyring: Keyring, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process prints the address; allowed in the browser, it makes an integration whose token `doctor` finds good.

    Client secret, code and token are in nothing that it prints, whatever the level of its logs, and in no column.
    """
    words = [*WORDS, "--client-secret-file", "-", "--enable", "--json"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        *words,
        env=os.environ | {"LOG_LEVEL": "debug"},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(f"{APP.client_secret}\n".encode())
    process.stdin.write_eof()
    async with asyncio.timeout(30), httpx.AsyncClient() as http:
        invited = [(await process.stderr.readline()).decode() for _ in range(2)]
        back = (await http.get(invited[1].strip())).headers["location"]
        page = await http.get(back)
        printed, complaints = await process.communicate()
    made = orjson.loads(printed)
    assert (process.returncode, complaints, page.status_code) == (0, b"", 200)
    ((settings, row),) = await stored(sql, keyring)
    token = settings["token"]
    assert settings == {"token": token, "workspace_id": simulator.workspace.team_id, "auth": "oauth"}
    assert made["settings"] == settings | {"token": f"{token[:4]}****{token[-4:]}"}
    facts = {"name": "clickup", "display_name": "ClickUp", "org_id": "acme", "project_id": PROJECT, "enabled": True}
    assert made.items() >= facts.items()
    assert await asyncio.to_thread(run, ["doctor", "--json"]) == 1  # there is no webhook yet
    checks = [check for check in orjson.loads(capsys.readouterr().out) if made["id"] in check["subject"]]
    assert [(check["good"], check["finding"].partition(" of ")[0]) for check in checks] == [
        (True, "token"),
        (False, "no webhook in this workspace"),
    ]
    code = parse_qs(urlsplit(back).query)["code"][0]
    for secret in (APP.client_secret, code, token):
        assert secret not in "".join(invited) + printed.decode() + page.text
        assert secret not in row
        assert secret.encode().hex() not in row


async def test_a_deleted_integration_takes_its_hook_along(
    command: Command, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is left to be delivered to. With ClickUp away it goes all the same, and what is left is said."""
    hooks = simulator.workspace.webhooks
    for away in (False, True):
        command.out = command.err = ""
        command.start("--enable", "--json")
        await command.allowed()
        assert await command.ended() == 0
        id_ = orjson.loads(command.out)["id"]
        url = "https://ingest.example.com"
        assert await asyncio.to_thread(run, ["webhook", "register", id_, "--url", url]) == 0
        assert len(hooks) == 1
        simulator.faults.api_error_rate = 1.0 if away else 0.0
        capsys.readouterr()
        assert await asyncio.to_thread(run, ["integration", "delete", id_, "--yes"]) == 0
        said = capsys.readouterr().out
        assert f"deleted {id_}" in said
        assert ("left at ClickUp" in said, len(hooks)) == (away, int(away))


async def test_what_people_see(command: Command, simulator: Simulator) -> None:
    """The address has id, callback and state; the page is whole in itself; what is printed is what `create` prints."""
    command.start("--display-name", "Ours & theirs")
    sent = urlsplit(await command.address())
    query = parse_qs(sent.query, strict_parsing=True)
    assert query.keys() == {"client_id", "redirect_uri", "state"}
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*/callback", query["redirect_uri"][0])
    assert len(query["state"][0]) >= 40
    page = await command.allowed()
    assert await command.ended() == 0
    assert (page.status_code, "You may close this window." in page.text) == (200, True)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    assert not re.search(r"src=|href=|script|style", page.text)
    lines = dict(line.split(None, 1) for line in command.out.splitlines()[2:])
    assert (lines["display_name"].strip(), lines["enabled"].strip()) == ("Ours & theirs", "no")
    assert (lines["settings.workspace_id"].strip(), lines["settings.auth"].strip()) == (
        simulator.workspace.team_id,
        "oauth",
    )
    assert command.err == ""


async def test_only_the_answer_with_our_state_counts(command: Command, simulator: Simulator) -> None:
    """A wrong state, none, an error without it and an answer without a code are 400; the right one still connects."""
    command.start()
    for query in (
        {"state": "", "code": "x"},
        {"state": "guessed", "code": "x"},
        {"state": "gu\u00e9ss\u2028ed", "code": "x"},
        {"state": "", "error": "access_denied"},
        {"code": ""},
        {},
    ):
        page = await command.answered(**query)
        assert (page.status_code, "close" in page.text) == (400, False)
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert not simulator.calls["POST", "/v2/oauth/token", 200]
    assert (await command.allowed()).status_code == 200
    assert await command.ended() == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [("access_denied", "access was denied in ClickUp"), ("<b>bad</b>\n\x1b[31m" + "x" * 500, "ClickUp refused with")],
)
async def test_a_refusal_is_told(error: str, said: str, command: Command, sql: Any) -> None:
    """Denied access, or any other error of ClickUp's, ends it with one line; the page says the same, escaped."""
    command.start()
    page = await command.answered(error=error)
    complaint = await command.failed()
    assert said in complaint
    assert said.lower() in page.text.lower()
    assert (page.status_code, "You may close this window." in page.text) == (200, True)
    assert not re.search(r"<b>|x{100}|\x1b", page.text + complaint.replace("<b>", ""))
    assert await sql.fetchval("SELECT count(*) FROM kb.integrations") == 0


async def test_nobody_answers(command: Command) -> None:
    """The wait ends by itself, with a line that names the callback."""
    command.start("--timeout", "1")
    callback = parse_qs(urlsplit(await command.address()).query)["redirect_uri"][0]
    assert f"no answer came to {callback} within 1 s" in await command.failed()


async def test_the_port_is_taken(command: Command) -> None:
    """A callback that cannot be listened on is one line that names --port, and nobody is sent to ClickUp."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command.start("--port", str(port))
        complaint = await command.failed()
    assert (f"127.0.0.1:{port} " in complaint, "--port" in complaint, command.out) == (True, True, "")


async def test_the_project_is_connected_already(command: Command, database: Database, keyring: Keyring) -> None:
    """A project that has an integration is refused before anybody is sent to ClickUp."""
    await connect(database, keyring, connected=Connected(project_id=UUID(PROJECT)))
    command.start()
    assert f"project {PROJECT} has a clickup integration already" in await command.failed()
    assert command.out == ""


async def test_the_project_is_connected_meanwhile(
    command: Command, simulator: Simulator, database: Database, keyring: Keyring
) -> None:
    """Of two who connect a project at once the second is refused, on the terminal and on the page."""
    command.start()
    await command.address()
    await connect(database, keyring, connected=Connected(project_id=UUID(PROJECT)), token="pk_first")
    page = await command.allowed()
    said = f"{PROJECT} has a clickup integration already"
    assert said in await command.failed()
    assert said.lower() in page.text.lower()
    assert simulator.calls["POST", "/v2/oauth/token", 200] == 1


ONE: Final = {"id": "9012345678", "name": "Acme"}
OTHER: Final = {"id": 90150000001, "name": "Ac\x1bme <i>Labs</i>"}


@pytest.mark.parametrize(
    ("teams", "workspace", "chosen", "said"),
    [
        ([ONE], None, "9012345678", ""),
        ([ONE, OTHER], "90150000001", "90150000001", ""),
        ([ONE, OTHER], None, None, "9012345678 (Acme), 90150000001 (Ac me <i>Labs</i>); run it again with --workspace"),
        ([ONE, OTHER], "17", None, "workspace 17 was not allowed, but 9012345678 (Acme), 90150000001"),
        ([ONE], "", None, "was not allowed, but 9012345678 (Acme)"),
        ([], None, None, "no workspace was allowed"),
    ],
)
async def test_which_workspace(
    teams: list[Any], workspace: str | None, chosen: str | None, said: str, command: Command, sql: Any, keyring: Keyring
) -> None:
    """The only workspace is taken; of several the one that is named, and without a name they are listed."""
    with respx.mock(assert_all_called=False) as router:
        router.route(host="127.0.0.1").pass_through()
        router.post(f"{CLICKUP}/v2/oauth/token").respond(json={"access_token": "48213377_TOKENTOKENTOKEN"})
        router.get(f"{CLICKUP}/v2/team", headers={"Authorization": "Bearer 48213377_TOKENTOKENTOKEN"}).respond(
            json={"teams": teams}
        )
        command.start(*(["--workspace", workspace] if workspace is not None else []))
        page = await command.answered(code="CODECODECODE")
        if chosen is None:
            assert said in await command.failed()
        else:
            assert await command.ended() == 0
    assert [settings["workspace_id"] for settings, _ in await stored(sql, keyring)] == ([chosen] if chosen else [])
    assert "<i>" not in page.text
    assert not re.search("TOKENTOKENTOKEN|CODECODECODE", command.out + command.err + page.text)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([httpx.Response(401, json={"err": "CODECODECODE unknown", "ECODE": "OAUTH_014"})], "authorize anew"),
        ([httpx.Response(400, json={"err": f"CODECODECODE for {APP.client_secret}"})], "*** for ***"),
        ([httpx.Response(200, json={"token": "elsewhere"})], "without an access token"),
        ([httpx.ConnectError("away")], "did not answer"),
        ([httpx.Response(200, json={"access_token": "TOKENTOKENTOKEN"}), httpx.Response(500)], "GET /v2/team"),
        (
            [
                httpx.Response(200, json={"access_token": "TOKENTOKENTOKEN"}),
                httpx.Response(401, json={"err": "no TOKENTOKENTOKEN", "ECODE": "OAUTH_019"}),
            ],
            "OAUTH_019",
        ),
    ],
    ids=["code refused", "secrets repeated", "no token", "away", "broken", "token refused"],
)
async def test_clickup_does_not_play_along(
    answers: list[httpx.Response | Exception], said: str, command: Command, sql: Any
) -> None:
    """Whatever fails after the answer is one line, without secrets, on terminal and page; nothing is created."""
    exchange, *rest = answers
    with respx.mock(assert_all_called=False) as router:
        router.route(host="127.0.0.1").pass_through()
        router.post(f"{CLICKUP}/v2/oauth/token").mock(side_effect=[exchange])
        router.get(f"{CLICKUP}/v2/team").mock(side_effect=rest * 2)
        command.start()
        page = await command.answered(code="CODECODECODE")
        complaint = await command.failed()
    assert said in complaint
    assert "Not connected" in page.text
    assert not re.search(f"TOKENTOKENTOKEN|CODECODECODE|{APP.client_secret}", command.out + complaint + page.text)
    assert await sql.fetchval("SELECT count(*) FROM kb.integrations") == 0


@pytest.mark.parametrize(
    ("words", "opens"), [((), True), (("--no-browser",), False), (("no terminal",), False)], ids=str
)
async def test_the_browser(
    words: tuple[str, ...], opens: bool, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened where there is a terminal and nobody said no; one that fails does no harm."""
    asked: list[str] = []

    def broken(url: str) -> bool:
        asked.append(url)
        raise webbrowser.Error("there is none")

    monkeypatch.setattr(webbrowser, "open", broken)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: words != ("no terminal",))
    command.start("--json", *(word for word in words if word.startswith("--")))
    address = await command.address()
    if opens:
        await until(lambda: bool(asked))
    await command.answered(error="access_denied")
    assert await command.ended() == 1
    assert asked == ([address] if opens else [])


@pytest.mark.parametrize(
    ("words", "secret", "said"),
    [
        ((), None, "--client-secret-file"),
        (("--client-secret-file", "-"), "x", "twice"),
        (("--port", "65536"), "x", "--port"),
        (("--timeout", "0"), "x", "--timeout"),
        (("--project", "17"), "x", "--project"),
    ],
)
async def test_a_wrong_call(words: tuple[str, ...], secret: str | None, said: str, command: Command) -> None:
    """What cannot be meant ends with exit code 2 and one line that names the option."""
    command.start(*words, secret=secret)
    assert await command.ended() == 2
    assert re.fullmatch(r"error: [^\n]+\n", command.err)
    assert (said in command.err, command.out) == (True, "")


@pytest.mark.parametrize(
    ("variable", "given", "said"),
    [
        ("INTEGRATION_ENCRYPTION_KEY", "", "keys generate"),
        ("DATABASE_URL", "", "DATABASE_URL is not set"),
        ("DATABASE_URL", "postgresql://user:password@127.0.0.1:1/kb", "DATABASE_URL"),
        ("CLICKUP_APP_URL", "app.clickup.com", "https://"),
    ],
)
async def test_what_is_missing_is_found_first(
    variable: str, given: str, said: str, command: Command, configure: Callable[..., None]
) -> None:
    """Without a key, a database or a good address it ends with one line, and nobody is sent to ClickUp."""
    configure(**{variable: given})
    command.start()
    assert said in await command.failed()
    assert command.out == ""
