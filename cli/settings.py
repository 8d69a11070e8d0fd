"""Configuration: the environment and a `.env` file, read once, checked at the start.

Promises: a missing or malformed value is one line that names the variable, says what is wrong and gives an example;
a secret's value is never shown.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Final, Literal, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from consumers.handlers import Timing
from gallery.issuer import Client, Issuer
from integrations.sealing import Keyring, SealError
from schema.address import broker_fault, database_fault, is_local


class ConfigurationError(Exception):
    """A variable that is missing or malformed: one line."""


EXAMPLES: Final = {
    "DATABASE_URL": "postgresql://user:password@localhost:5432/kb",
    "AMQP_URL": "amqp://user:password@localhost:5672/",
    "INTEGRATION_ENCRYPTION_KEY": "the output of `kb-ingest keys generate`",
    "PUBLIC_URL": "https://ingest.example.com",
    "CLICKUP_API_URL": "https://api.clickup.com/api",
    "CLICKUP_APP_URL": "https://app.clickup.com/api",
    "INGEST_HOST": "127.0.0.1",
    "INGEST_PORT": "8080",
    "GALLERY_HOST": "127.0.0.1",
    "GALLERY_PORT": "8081",
    "METRICS_HOST": "127.0.0.1",
    "METRICS_PORT": "8082",
    "OIDC_ISSUER": "https://login.example.com/realms/acme",
    "OIDC_AUDIENCE": "kb-ingest",
    "OIDC_SCOPE_CLAIM": "scope",
    "OIDC_ORG_CLAIM": "org_id",
    "OIDC_CLIENT_ID": "kb-ingest",
    "OIDC_CLIENT_SECRET": "what the provider made; none for a public client",
    "GALLERY_URL": "https://gallery.example.com",
    "MAX_BODY_BYTES": "1048576",
    "SPOOL_MAX": "2000000",
    "COALESCE_SECONDS": "2",
    "WEBHOOK_CHECK_SECONDS": "60",
    "SYNC_MINUTES": "15",
    "SWEEP_HOURS": "24",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
    "LOG_LEVEL": "info (or debug, warning, error)",
    "LOG_FORMAT": "json (or console)",
}

KINDS: Final = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "greater_than": "must be a number above 0",
    "less_than": "must be a number below a million",
    "greater_than_equal": "must be a whole number from 0 to 65535",
    "less_than_equal": "must be a whole number from 0 to 65535",
    "literal_error": "is not one of the known words",
}


def _good(fault: Callable[[str], str | None]) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if (wrong := fault(value.get_secret_value())) is not None:
            raise ValueError(wrong)
        return value

    return AfterValidator(check)


def _url(*schemes: str) -> AfterValidator:
    return _good(lambda url: url_fault(url, *schemes))


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


def _issuer(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.username is not None or parts.query:
        raise ValueError("must be the issuer's address alone, without a user and without a query")
    if parts.scheme == "http" and not is_local(parts.hostname or ""):
        raise ValueError("must begin with https://, but for an issuer on this machine")
    return value


def _keys(value: SecretStr) -> SecretStr:
    try:
        Keyring.parse(value.get_secret_value())
    except SealError as error:
        raise ValueError(str(error)) from error
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Port = Annotated[int, Field(ge=0, le=65535)]
Amount = Annotated[float, Field(gt=0, lt=1_000_000)]


class Settings(BaseSettings):
    """All variables. The names are the environment's, in lower case."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    database_url: Annotated[SecretStr, _url("postgresql", "postgres"), _good(database_fault)] | None = None
    amqp_url: Annotated[SecretStr, _url("amqp", "amqps"), _good(broker_fault)] | None = None
    integration_encryption_key: Annotated[SecretStr, AfterValidator(_keys)] | None = None
    public_url: Annotated[SecretStr, _url("http", "https")] | None = None
    clickup_api_url: Annotated[SecretStr, _url("http", "https")] = SecretStr("https://api.clickup.com/api")
    clickup_app_url: Annotated[SecretStr, _url("http", "https")] = SecretStr("https://app.clickup.com/api")
    ingest_host: str = "127.0.0.1"
    ingest_port: Port = 8080
    gallery_host: str = "127.0.0.1"
    gallery_port: Port = 8081
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = None
    oidc_issuer: Annotated[SecretStr, _url("https", "http"), AfterValidator(_issuer)] | None = None
    oidc_audience: str | None = None
    oidc_scope_claim: str = "scope"
    oidc_org_claim: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    gallery_url: Annotated[SecretStr, _url("http", "https")] | None = None
    max_body_bytes: Annotated[int, Field(gt=0)] = 1024 * 1024
    spool_max: Annotated[int, Field(gt=0)] = 2_000_000
    coalesce_seconds: Amount = 2
    webhook_check_seconds: Amount = 60
    sync_minutes: Amount = 15
    sweep_hours: Amount = 24
    otel_exporter_otlp_endpoint: Annotated[SecretStr, _url("http", "https")] | None = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    log_format: Annotated[Literal["json", "console"], BeforeValidator(_lower)] = "json"

    def need(self, name: Literal["database_url", "amqp_url", "integration_encryption_key"]) -> str:
        """A value without which the program cannot work. Raises `ConfigurationError`."""
        value = cast("SecretStr | None", getattr(self, name))
        if value is None:
            raise ConfigurationError(f"{name.upper()} is not set; for example {EXAMPLES[name.upper()]}")
        return value.get_secret_value()

    def public_address(self) -> str | None:
        """PUBLIC_URL, if it is set."""
        return self.public_url.get_secret_value().rstrip("/") if self.public_url is not None else None

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
            issuer=self.oidc_issuer.get_secret_value(),
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
            secret=self.oidc_client_secret.get_secret_value() if self.oidc_client_secret is not None else None,
            gallery_url=self.gallery_url.get_secret_value(),
        )

    def keyring(self) -> Keyring:
        """The keys. Raises `ConfigurationError`."""
        return Keyring.parse(self.need("integration_encryption_key"))


def load() -> Settings:
    """Read the environment. Raises `ConfigurationError` for the first variable that is malformed."""
    try:
        settings = Settings()
        settings.oidc(), settings.sign_on()
        return settings  # noqa: TRY300
    except UnicodeDecodeError:
        raise ConfigurationError(".env is not UTF-8; save it as plain text in UTF-8") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper()
        what = KINDS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name} {what[:1].lower() + what[1:]}; for example {EXAMPLES[name]}") from None
