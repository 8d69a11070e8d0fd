"""Alerts and dashboards ask for metrics that exist, and every alert says what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from deploy.grafana import make
from tests.deploy.reading import DEPLOY, PROMETHEUS, ROOT, compose, documents
from tests.deploy.test_metrics import registered

FOREIGN = {"up", "rabbitmq_detailed_queue_messages", "rabbitmq_detailed_queue_consumers"}
GROUPS = documents(PROMETHEUS / "alerts.yml")[0]["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]


def known() -> dict[str, set[str]]:
    """Every series that can be asked for, with its labels."""
    found = {}
    for name, (kind, labels) in registered().items():
        for end in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            found[name + end] = labels | ({"le"} if end == "_bucket" else set())
    return found


def asked(query: str) -> set[str]:
    """The series that a query asks for."""
    return set(re.findall(r"\b(?:kb|rabbitmq)_[a-z_]+|\bup\b", re.sub(r'"[^"]*"', "", query)))


def labels(query: str) -> set[str]:
    """The labels that a query names."""
    inside = " ".join(re.findall(r"\{([^}]*)\}", query))
    grouped = " ".join(re.findall(r"by \(([^)]*)\)", query)).replace(",", " ").split()
    return set(re.findall(r"(\w+)(?:=~|!~|!=|=)", inside)) | set(grouped)


def queries() -> list[str]:
    """Of all alerts and all panels."""
    panels = [panel for path, _ in make.files() for panel in json.loads(path.read_text())["panels"]]
    return [rule["expr"] for rule in RULES] + [target["expr"] for panel in panels for target in panel["targets"]]


def test_every_query_is_about_metrics_that_exist() -> None:
    """Names and labels are those of the registry."""
    series = known()
    for query in queries():
        names = asked(query)
        assert names, query
        assert names - FOREIGN - series.keys() == set(), query
        mine = names & series.keys()
        if mine and not names & FOREIGN:
            assert labels(query) <= {label for name in mine for label in series[name]}, query


def test_every_metric_is_shown() -> None:
    """Each of ours is in a panel or an alert, but for two that their panels have in another form."""
    seen = {re.sub(r"_(bucket|sum|count)$", "", name) for query in queries() for name in asked(query)}
    assert registered().keys() - seen <= {"kb_consumer_batch_seconds", "kb_gallery_request_seconds"}


def test_every_alert_has_its_paragraph() -> None:
    """A heading of docs/runbook.md, in the same order; with severity and summary."""
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"]


def test_anchors_of_the_runbook_lead_somewhere() -> None:
    """Links within it, and into operations.md."""
    text = (ROOT / "docs/runbook.md").read_text()
    for document, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", text):
        there = text if not document else (ROOT / "docs" / document).read_text()
        titles = [title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", there, re.MULTILINE)]
        assert anchor in titles, anchor


def test_dashboards_are_what_the_script_makes() -> None:
    """Nobody edited the JSON; after a change of the script: `python -m deploy.grafana.make`."""
    made = dict(make.files())
    assert made.keys() == set((DEPLOY / "grafana/dashboards").glob("*.json"))
    for path, text in made.items():
        assert path.read_text() == text


def test_prometheus_asks_services_that_exist() -> None:
    """Jobs and hosts of prometheus.yml are services of the compose file."""
    (config,) = documents(PROMETHEUS / "prometheus.yml")
    hosts = set()
    for job in config["scrape_configs"]:
        for found in job.get("dns_sd_configs", ()):
            hosts |= set(found["names"])
        hosts |= {target.partition(":")[0] for found in job.get("static_configs", ()) for target in found["targets"]}
    assert hosts <= compose()["services"].keys()
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    assert {name for rule in RULES for name in re.findall(r'job="(\w+)"', rule["expr"])} <= jobs


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize("words", ["check config prometheus.yml", "test rules alerts_test.yml"])
def test_prometheus_finds_no_fault(words: str) -> None:
    """`promtool` reads the configuration and runs the rules' own tests."""
    ran = subprocess.run(
        ["promtool", *words.split()], cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
