"""Configuration: the environment and a `.env` file, read once, checked at the start.

Promises: a missing or malformed value is one line that names the variable, says what is wrong and gives an example;
a secret's value is never shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values

from consumers.timing import Timing
from gallery.issuer import Client, Issuer
from integrations.sealing import Keyring, SealError
from schema.address import broker_fault, database_fault, is_local

CLICKUP: Final = "https://api.clickup.com/api"
MOST: Final = 1_000_000
PORTS: Final = 65535


class ConfigurationError(Exception):
    """A variable that is missing or malformed: one line."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is shown nowhere."""

    value: str = field(repr=False)


Read = Callable[[str], Any]
"""A value from the text of its variable. Raises `ValueError` with what is wrong, in words that quote nothing of it."""


def url_fault(url: str, *schemes: str) -> str | None:
    """What is wrong with an address, in words that quote nothing of it; None if nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its own message would quote the password
        parts, port = None, None
    if parts is not None and parts.scheme not in schemes:
        return f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    local = parts is not None and "host=" in parts.query  # a PostgreSQL socket
    if parts is None or port == 0 or (not parts.hostname and not local) or parts.fragment:
        return "has no valid host and port; percent-encode special characters in user and password"
    return None


def _secret(*faults: Callable[[str], str | None]) -> Read:
    def read(text: str) -> Secret:
        for fault in faults:
            if (wrong := fault(text)) is not None:
                raise ValueError(wrong)
        return Secret(text)

    return read


def _url(*schemes: str) -> Callable[[str], str | None]:
    return lambda url: url_fault(url, *schemes)


def _issuer_fault(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.username is not None or parts.query:
        return "must be the issuer's address alone, without a user and without a query"
    if parts.scheme == "http" and not is_local(parts.hostname or ""):
        return "must begin with https://, but for an issuer on this machine"
    return None


def _keys_fault(text: str) -> str | None:
    try:
        Keyring.parse(text)
    except SealError as error:
        return str(error)
    return None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None


def _size(text: str) -> int:
    if (size := _whole(text)) <= 0:
        raise ValueError("must be a number above 0")
    return size


def _port(text: str) -> int:
    if not 0 <= (port := _whole(text)) <= PORTS:
        raise ValueError(f"must be a whole number from 0 to {PORTS}")
    return port


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        raise ValueError("must be a number") from None
    if amount >= MOST:
        raise ValueError("must be a number below a million")
    if not amount > 0:  # NaN is not, either
        raise ValueError("must be a number above 0")
    return amount


def _word(*known: str) -> Read:
    def read(text: str) -> str:
        if text.lower() not in known:
            raise ValueError("is not one of the known words")
        return text.lower()

    return read


def _variable(read: Read, example: str, default: Any = None) -> Any:
    return field(default=default, metadata={"read": read, "example": example})


_HTTP: Final = _secret(_url("http", "https"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All variables. The names are the environment's, in lower case."""

    database_url: Secret | None = _variable(
        _secret(_url("postgresql", "postgres"), database_fault), "postgresql://user:password@localhost:5432/kb"
    )
    amqp_url: Secret | None = _variable(
        _secret(_url("amqp", "amqps"), broker_fault), "amqp://user:password@localhost:5672/"
    )
    integration_encryption_key: Secret | None = _variable(
        _secret(_keys_fault), "the output of `kb-ingest keys generate`"
    )
    public_url: Secret | None = _variable(_HTTP, "https://ingest.example.com")
    clickup_api_url: Secret = _variable(_HTTP, CLICKUP, Secret(CLICKUP))
    clickup_app_url: Secret = _variable(_HTTP, "https://app.clickup.com/api", Secret("https://app.clickup.com/api"))
    ingest_host: str = _variable(str, "127.0.0.1", "127.0.0.1")
    ingest_port: int = _variable(_port, "8080", 8080)
    gallery_host: str = _variable(str, "127.0.0.1", "127.0.0.1")
    gallery_port: int = _variable(_port, "8081", 8081)
    metrics_host: str = _variable(str, "127.0.0.1", "127.0.0.1")
    metrics_port: int | None = _variable(_port, "8082")
    oidc_issuer: Secret | None = _variable(
        _secret(_url("https", "http"), _issuer_fault), "https://login.example.com/realms/acme"
    )
    oidc_audience: str | None = _variable(str, "kb-ingest")
    oidc_scope_claim: str = _variable(str, "scope", "scope")
    oidc_org_claim: str | None = _variable(str, "org_id")
    oidc_client_id: str | None = _variable(str, "kb-ingest")
    oidc_client_secret: Secret | None = _variable(_secret(), "what the provider made; none for a public client")
    gallery_url: Secret | None = _variable(_HTTP, "https://gallery.example.com")
    max_body_bytes: int = _variable(_size, "1048576", 1024 * 1024)
    spool_max: int = _variable(_size, "2000000", 2_000_000)
    coalesce_seconds: float = _variable(_amount, "2", 2.0)
    webhook_check_seconds: float = _variable(_amount, "60", 60.0)
    sync_minutes: float = _variable(_amount, "15", 15.0)
    sweep_hours: float = _variable(_amount, "24", 24.0)
    otel_exporter_otlp_endpoint: Secret | None = _variable(_HTTP, "http://127.0.0.1:4318")
    log_level: str = _variable(_word("debug", "info", "warning", "error"), "info (or debug, warning, error)", "info")
    log_format: Literal["json", "console"] = _variable(_word("json", "console"), "json (or console)", "json")

    def need(self, name: Literal["database_url", "amqp_url", "integration_encryption_key"]) -> str:
        """A value without which the program cannot work. Raises `ConfigurationError`."""
        value: Secret | None = getattr(self, name)
        if value is None:
            raise ConfigurationError(f"{name.upper()} is not set; for example {EXAMPLES[name.upper()]}")
        return value.value

    def public_address(self) -> str | None:
        """PUBLIC_URL, if it is set."""
        return self.public_url.value.rstrip("/") if self.public_url is not None else None

    def timing(self) -> Timing:
        """How long a burst may be, and how often the upkeep looks."""
        return Timing(
            window=timedelta(seconds=self.coalesce_seconds),
            look=timedelta(seconds=self.webhook_check_seconds),
            sync=timedelta(minutes=self.sync_minutes),
            sweep=timedelta(hours=self.sweep_hours),
        )

    def oidc(self) -> Issuer | None:
        """Whose JWTs count, if OIDC_ISSUER is set. Raises `ConfigurationError` if it is and OIDC_AUDIENCE is not."""
        if self.oidc_issuer is None:
            return None
        if self.oidc_audience is None:  # without it, a token made for any other program would do
            raise ConfigurationError(
                f"OIDC_AUDIENCE is not set, and OIDC_ISSUER is; for example {EXAMPLES['OIDC_AUDIENCE']}"
            )
        return Issuer(
            issuer=self.oidc_issuer.value,
            audience=self.oidc_audience,
            scope_claim=self.oidc_scope_claim,
            org_claim=self.oidc_org_claim,
        )

    def sign_on(self) -> Client | None:
        """What the page's visitors sign in with, if OIDC_CLIENT_ID is set. Raises `ConfigurationError`."""
        if self.oidc_client_id is None:
            return None
        for name in ("oidc_issuer", "gallery_url"):
            if getattr(self, name) is None:
                raise ConfigurationError(
                    f"{name.upper()} is not set, and OIDC_CLIENT_ID is; for example {EXAMPLES[name.upper()]}"
                )
        assert self.gallery_url is not None  # noqa: S101  looked at above
        return Client(
            client_id=self.oidc_client_id,
            secret=self.oidc_client_secret.value if self.oidc_client_secret is not None else None,
            gallery_url=self.gallery_url.value,
        )

    def keyring(self) -> Keyring:
        """The keys. Raises `ConfigurationError`."""
        return Keyring.parse(self.need("integration_encryption_key"))


EXAMPLES: Final[Mapping[str, str]] = {one.name.upper(): one.metadata["example"] for one in fields(Settings)}


def load() -> Settings:
    """Read the environment. Raises `ConfigurationError` for the first variable that is malformed."""
    try:
        written = dotenv_values(".env")
    except UnicodeDecodeError:
        raise ConfigurationError(".env is not UTF-8; save it as plain text in UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f".env cannot be read ({error.strerror}); mend its mode, or take it away") from None
    given: dict[str, Any] = {}
    for one in fields(Settings):
        name = one.name.upper()
        if text := os.environ.get(name) or written.get(name):
            try:
                given[one.name] = one.metadata["read"](text)
            except ValueError as error:
                raise ConfigurationError(f"{name} {error}; for example {EXAMPLES[name]}") from None
    settings = Settings(**given)
    settings.oidc(), settings.sign_on()
    return settings
