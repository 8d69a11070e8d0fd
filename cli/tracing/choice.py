"""Whether programs are traced.

Promises: without OTEL_EXPORTER_OTLP_ENDPOINT or without the extra `otel` nothing of OpenTelemetry is imported, and the
parts are as they are: not a line of theirs runs for tracing. What is wrong with its other variables turns tracing off
and stops nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import structlog
from dotenv import dotenv_values

from cli.settings import Settings
from cli.tracing.parts import Parts

PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")

log = structlog.get_logger()


def parts(settings: Settings, program: str) -> Parts:
    """The parts of a program, or of a process with several: `program` is said in its spans."""
    if settings.otel_exporter_otlp_endpoint is None:
        return Parts()
    for name, value in dotenv_values(".env").items():  # OpenTelemetry reads nothing but the environment
        if name.startswith("OTEL_") and value and not os.environ.get(name):
            os.environ[name] = value
    if (why := _off(os.environ)) is not None:
        log.info("traces.off", why=why)
        return Parts()
    if "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        os.environ.setdefault("OTEL_SERVICE_NAME", f"kb-ingest-{program}")
    try:
        from cli.tracing.traced import Traced  # noqa: PLC0415  only now OpenTelemetry is imported

        return Traced(os.environ, broker="rabbitmq" if settings.amqp_url is not None else "postgresql")
    except ImportError:
        why = "the extra `otel` is not installed: pip install --require-hashes -r constraints-otel.txt"
    except Exception as error:  # whatever it is: the program is worth more than its traces
        why = f"an OTEL_ variable is malformed ({type(error).__name__})"
    log.warning("traces.off", why=why)
    return Parts()


def _off(environment: Mapping[str, str]) -> str | None:
    """What says that there shall be no traces although an endpoint is set, or none that we can send."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "OTEL_SDK_DISABLED is true"
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return "OTEL_TRACES_EXPORTER is another than otlp"
    if any(environment.get(name, "http/protobuf") != "http/protobuf" for name in PROTOCOLS):
        return "OTEL_EXPORTER_OTLP_PROTOCOL is another than http/protobuf"
    return None
