"""What is in `deploy/` fits the programs: commands, variables, names, rights and times."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from cli import serving
from cli.main import run
from cli.settings import EXAMPLES
from consumers import outbox, worker
from consumers.handlers import consumers, imports, upkeep
from events.topology import QUEUES
from schema.address import broker_fault, database_fault
from tests.deploy.reading import (
    DEPLOY,
    KUBERNETES,
    PAGE,
    ROOT,
    UNITS,
    blocks,
    compose,
    documents,
    manifests,
    pods,
    runs,
    unit,
)

STANDARD = json.loads((Path(__file__).parent / "kubernetes-1.37.json").read_text())
"""Kubernetes' own schemas of the kinds we use, without descriptions, and without what is below fields we do not set."""
CUSTOM = {
    "RabbitmqCluster": ("rabbitmq.com/v1beta1", {"image", "replicas", "resources", "persistence", "rabbitmq",
                        "terminationGracePeriodSeconds"}),
    "Cluster": ("postgresql.cnpg.io/v1", {"instances", "bootstrap", "managed", "storage", "resources"}),
    "ScaledObject": ("keda.sh/v1alpha1", {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval",
                     "cooldownPeriod", "advanced", "triggers"}),
    "TriggerAuthentication": ("keda.sh/v1alpha1", {"secretTargetRef"}),
}  # fmt: skip
CLOSING_SECONDS = 6
"""Subscriptions (1), the broker's connection (1) and spool (1), the database's pools (2), and a second to spare."""
DRAIN = (
    max(
        worker.STOP_SECONDS + 2 * outbox.PUBLISH_SECONDS,  # the batch in hand, then one more turn of the outbox
        imports.STOP_SECONDS + 2,
        upkeep.STOP_SECONDS,
    )
    + serving.DRAIN_SECONDS
    + 2
    + CLOSING_SECONDS
)
RUNS = list(runs())
ORDER = ("knowledge", "sync-state", "journal", "imports", "upkeep")
"""The consumers as one machine has their ports, from 8101 on."""
FILES = sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_yaml_file_is_one(path: Path) -> None:
    """Each has at least one document, and none is empty."""
    assert documents(path)


@pytest.mark.parametrize("one", RUNS, ids=lambda one: one.where)
def test_every_command_is_one_of_ours(one: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`kb-ingest` knows the command, and the consumer if it is one."""
    words = [word.replace("%i", "journal") for word in one.words]
    assert run([words[0], "--help"]) == 0
    capsys.readouterr()
    if words[0] == "consume":
        assert set(words[1:]) <= consumers().keys()


@pytest.mark.parametrize("one", RUNS, ids=lambda one: one.where)
def test_every_variable_is_one_of_ours(one: Any) -> None:
    """No program is given a variable that nobody reads."""
    assert one.variables - EXAMPLES.keys() == set()


def test_every_program_runs_everywhere() -> None:
    """Ingest, the gallery, `migrate` and each consumer are in compose and in Kubernetes."""
    wanted = {"migrate", "ingest", "gallery", *(f"consume {name}" for name in consumers())}
    for place in ("compose", "kubernetes"):
        assert {" ".join(one.words) for one in RUNS if one.where.startswith(place)} == wanted
    assert {" ".join(one.words) for one in RUNS if one.where.startswith("systemd")} == {
        "migrate", "ingest", "gallery", "consume %i",
    }  # fmt: skip
    (enabled,) = re.findall(r"^systemctl enable (.*@\{.*)$", PAGE.read_text(), re.MULTILINE)
    assert enabled == f"kb-ingest-ingest kb-ingest-gallery kb-ingest-consume@{{{','.join(ORDER)}}}"
    assert set(ORDER) == consumers().keys()


def test_images_variables_are_ours() -> None:
    """The Containerfile sets what exists, runs as a number and brings nothing that builds."""
    text = (DEPLOY / "Containerfile").read_text()
    assert set(re.findall(r"\b([A-Z]+_(?:HOST|PORT))=", text)) <= EXAMPLES.keys()
    final = text.rpartition("\nFROM ")[2]
    assert (
        re.findall(r"^USER .*$", final, re.MULTILINE)
        == re.findall(r"^USER [1-9]\d*:[1-9]\d*$", final, re.MULTILINE)
        != []
    )
    assert not re.search(r"^(RUN|COPY|ADD)\b", final.partition("\nUSER ")[2], re.MULTILINE)
    assert "apt-get" not in text
    assert "--require-hashes -r ${PINS}" in text
    pins = {"constraints.txt", "constraints-otel.txt"}
    assert set(re.findall(r"^ARG PINS=(\S+)$", text, re.MULTILINE)) == {"constraints.txt"}
    assert "COPY constraints.txt constraints-otel.txt ./\n" in text
    assert not re.search(r"pip install|gcc", final)
    packages = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert packages >= {"events", "schema", "integrations", "ingest", "consumers", "gallery", "cli", *pins}


def addresses(path: Path) -> Iterator[str]:
    """The servers' addresses in a file, passwords filled in."""
    text = re.sub(r"\$(\w+|\{.*?\}|\(.*?\))", "x", path.read_text())
    yield from re.findall(r"\b(?:amqps?|postgresql)://[^\s\"'`]*@[^\s\"'`]+", text)


def test_programs_start_with_the_addresses_that_they_are_given() -> None:
    """Compose speaks in the clear, and says so; documents show no address that is refused."""
    inside = set(addresses(DEPLOY / "compose.yaml"))
    assert len(inside) == 9
    assert {urlsplit(address).query for address in inside} == {"sslmode=disable"}
    for path in (DEPLOY / "compose.yaml", ROOT / ".env.example", ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for address in addresses(path):
            fault = broker_fault if address.startswith("amqp") else database_fault
            assert fault(address) is None, (path, address)


def test_where_kubernetes_has_the_authority_is_where_programs_look() -> None:
    """The servers' component mounts it into every container; the document's addresses verify with it."""
    (one,) = documents(KUBERNETES / "components/servers/kustomization.yaml")
    patches = "".join(patch["patch"] for patch in one["patches"])
    mounts = re.findall(r"path: (\S+)/volumeMounts\S*\n\s+value: .*mountPath: (\S+),", patches)
    assert {where for _, where in mounts} == {"/etc/postgres-ca"}
    assert len(mounts) == 3
    assert "sslmode=verify-full&sslrootcert=/etc/postgres-ca/ca.crt" in (ROOT / "docs/deploying.md").read_text()


def test_a_stop_is_given_time() -> None:
    """Everywhere longer than our own drain, what waits before it included."""
    assert DRAIN == 29
    for name, pod in pods():
        if name != "migrate":
            before = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            assert pod["terminationGracePeriodSeconds"] - before > DRAIN, name
    for name, service in compose()["services"].items():
        if "KB_IMAGE" in service["image"]:
            assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN, name
    for path in UNITS:
        service = unit(path)["Service"]
        if service["Type"] == "exec":
            assert int(service["TimeoutStopSec"]) > DRAIN, path.name


def test_no_pod_has_more_rights_than_it_needs() -> None:
    """No root, no capability, nothing written but to memory, no token of the cluster, bounded memory."""
    for name, pod in pods():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name


def test_no_pod_has_anything_of_its_node() -> None:
    """No network, processes or folders of the node; what can be written is memory; the namespace refuses the rest."""
    for name, pod in pods():
        assert not {key for key in pod if key.startswith("host")}, name
        for volume in pod["volumes"]:
            (kind,) = volume.keys() - {"name"}
            assert kind in ("configMap", "emptyDir"), name
            assert kind != "emptyDir" or volume[kind].keys() == {"medium", "sizeLimit"}, name
            assert kind != "emptyDir" or volume[kind]["medium"] == "Memory", name
    (namespace,) = (one for _, one in manifests() if one["kind"] == "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] in ("baseline", "restricted")
    assert labels["pod-security.kubernetes.io/warn"] == "restricted"


def test_every_pod_is_probed_and_may_be_evicted_one_at_a_time() -> None:
    """Started, ready and alive are asked at paths that exist; each has a budget, an account, and a network policy."""
    objects = {(one["kind"], one["metadata"]["name"]): one for _, one in manifests()}
    for name, pod in pods():
        assert ("ServiceAccount", name) in objects
        assert objects["ServiceAccount", name]["automountServiceAccountToken"] is False
        if name == "migrate":
            continue
        assert objects["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"] == {
            "app.kubernetes.io/name": name
        }
        (container,) = pod["containers"]
        asked = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
        assert asked == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
    assert objects["NetworkPolicy", "default-deny"]["spec"].keys() == {"podSelector", "policyTypes"}


def test_compose_services_have_no_more_rights_than_they_need() -> None:
    """As in Kubernetes; only loopback is listened on; a change of health is seen."""
    services = compose()["services"]
    assert services["ingest"]["deploy"]["replicas"] == 2
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.keys() & {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"}, name
        assert not [one for one in service.get("volumes", ()) if one[0] in "./~" and not one.endswith(":ro")], name
        assert int(service["user"].partition(":")[0]) > 0, name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert "healthcheck" in service or name in ("migrate", "logins"), name
        assert "KB_IMAGE" in service["image"] or re.fullmatch(r"([a-z]+/)?[a-z]+:[a-z0-9.-]+", service["image"]), name
        assert "secrets" not in service, f"{name}: those of variables are copied in, which read_only refuses"
    named = {one["source"] for service in services.values() for one in service.get("configs", ())}
    assert named == compose()["configs"].keys()
    for one in compose()["configs"].values():
        assert (DEPLOY / one["file"]).is_file()


def test_the_example_names_what_compose_asks_for() -> None:
    """Every variable of the compose file is in deploy/example.env, and none is there in vain."""
    text = "\n".join(path.read_text() for path in (DEPLOY / "compose.yaml", DEPLOY / "compose.rabbitmq-3.yaml"))
    asked = set(re.findall(r"\$\{(\w+)", text))
    given = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    assert asked == given


@pytest.mark.parametrize("kind", sorted({one["kind"] for _, one in manifests()}))
def test_every_manifest_fits_its_schema(kind: str) -> None:
    """Kubernetes' own kinds as version 1.37 has them, nothing unknown in them; of operators' kinds the upper fields."""
    for path, one in manifests():
        if one["kind"] != kind:
            continue
        if kind in CUSTOM:
            assert (one["apiVersion"], one["spec"].keys() - CUSTOM[kind][1]) == (CUSTOM[kind][0], set()), path
        else:
            jsonschema.Draft7Validator(STANDARD[kind]).validate(one)


def test_every_resource_of_a_kustomization_exists() -> None:
    """And every file is somebody's resource."""
    used = set()
    for path in sorted(DEPLOY.rglob("kustomization.yaml")):
        (one,) = documents(path)
        for name in [*one.get("resources", ()), *one.get("components", ())]:
            found = (path.parent / name).resolve()
            assert found.is_file() or (found / "kustomization.yaml").is_file(), (path, name)
            used.add(found)
    assert {path for path, _ in manifests()} <= used
    assert {folder.name for folder in (KUBERNETES / "overlays").iterdir()} == {"small", "scaled"}


def test_every_consumer_with_a_queue_scales_by_it() -> None:
    """By the time it would take to drain, unacknowledged messages counted; to a deployment that exists."""
    objects = [one for _, one in manifests()]
    deployments = {one["metadata"]["name"] for one in objects if one["kind"] == "Deployment"}
    authentications = {one["metadata"]["name"] for one in objects if one["kind"] == "TriggerAuthentication"}
    scaled = {}
    for one in objects:
        if one["kind"] != "ScaledObject":
            continue
        assert one["spec"]["scaleTargetRef"]["name"] in deployments
        triggers = one["spec"]["triggers"]
        assert {trigger["authenticationRef"]["name"] for trigger in triggers} <= authentications
        queues = [trigger["metadata"] for trigger in triggers if trigger["type"] == "rabbitmq"]
        assert {queue["mode"] for queue in queues} == {"ExpectedQueueConsumptionTime", "QueueLength"}
        assert all(queue["excludeUnacknowledged"] == "false" and queue["protocol"] == "http" for queue in queues)
        scaled[one["spec"]["scaleTargetRef"]["name"]] = {queue["queueName"] for queue in queues}
    assert scaled == {f"consume-{queue.consumer}": {queue.name} for queue in QUEUES}


def keys() -> Iterator[tuple[str, str]]:
    """Every key of a secret that a manifest reads."""

    def within(value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            if "key" in value and "name" in value and "effect" not in value and "operator" not in value:
                yield value["name"], value["key"]
            for below in value.values():
                yield from within(below)
        elif isinstance(value, list):
            for below in value:
                yield from within(below)

    for _, one in manifests():
        yield from within(one)


def test_every_secret_is_made_in_the_document() -> None:
    """docs/deploying.md has a command for each key that a manifest reads."""
    text = (ROOT / "docs/deploying.md").read_text()
    for secret, key in keys():
        assert re.search(rf"secret generic {secret}\b(.|\n(?!\n))*--from-literal={key}=", text), (secret, key)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_every_unit_is_sandboxed(path: Path) -> None:
    """The switches that `systemd-analyze security` counts most."""
    service = unit(path)["Service"]
    for switch in ("DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateDevices", "MemoryDenyWriteExecute"):
        assert service[switch] == "yes", switch
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert "SystemCallFilter" in service
    assert service["EnvironmentFile"].startswith("/etc/kb-ingest/")


def test_a_database_that_comes_late_keeps_no_program_from_starting() -> None:
    """None requires that the schema was migrated, all come after it was tried, and it is tried until it works."""
    for path in UNITS:
        parsed = unit(path)
        assert "Requires" not in parsed["Unit"], path.name
        assert parsed["Unit"]["StartLimitIntervalSec"] == "0", path.name
        if parsed["Service"]["Type"] == "exec":
            assert "kb-ingest-migrate.service" in parsed["Unit"]["Wants"].split(), path.name
            assert re.search(r"^After=.* kb-ingest-migrate.service$", path.read_text(), re.MULTILINE), path.name
            assert parsed["Service"]["Restart"] == "always", path.name
        else:
            assert parsed["Service"]["Restart"] == "on-failure", path.name


def test_ingest_is_away_for_the_shortest_time() -> None:
    """In a restart of everything the others stop before it and start after it, and it is not kept waiting by them."""
    for path in UNITS:
        others = unit(path)["Service"]["Type"] == "exec" and path.name != "kb-ingest-ingest.service"
        assert bool(re.search(r"^After=kb-ingest-ingest\.service$", path.read_text(), re.MULTILINE)) is others, (
            path.name
        )
    assert int(unit(DEPLOY / "systemd/kb-ingest-ingest.service")["Service"]["Nice"]) < 0


def test_one_machines_prometheus_asks_where_its_programs_are() -> None:
    """The same jobs as Compose's, at the ports that the page gives; another `knowledge` is found in its line."""
    (compose,), (machine,) = (documents(DEPLOY / "prometheus" / name) for name in ("prometheus.yml", "machine.yml"))
    targets = {
        job["job_name"]: [target for static in job["static_configs"] for target in static["targets"]]
        for job in machine["scrape_configs"]
    }
    assert targets.keys() == {job["job_name"] for job in compose["scrape_configs"]}
    assert targets["consume"] == [f"127.0.0.1:{8101 + number}" for number in range(len(ORDER))]
    text = PAGE.read_text()
    assert f"for program in ingest gallery {' '.join(ORDER)}; do" in text
    (was, new) = re.findall(r"sed --in-place 's/(\S+)/&, (\S+)/' /etc/prometheus", text)[0]
    assert was == f'"{targets["consume"][-1]}"'
    assert f'"127.0.0.1:{re.findall(r"METRICS_PORT=(810[0-9])", text)[0]}"' == new


def test_operators_commands_have_the_files_values_as_systemd_reads_them(tmp_path: Path) -> None:
    """Quoted as on the page, with all that an address may have; what the command is given goes on to it."""
    (tmp_path / "common.env").write_text("AMQP_URL='amqps://kb:p@mq/kb?cafile=/a b&x=$1'\n")
    (tmp_path / "migrate.env").write_text("DATABASE_URL='postgresql://db/kb?sslmode=require&a=b'\n")
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nprintf \'%s\\n\' "$AMQP_URL" "$DATABASE_URL" "$@"\n')
    program.chmod(0o755)
    script = (DEPLOY / "kb-ingest").read_text()
    script = script.replace("/etc/kb-ingest/", f"{tmp_path}/").replace("/opt/kb-ingest/bin/kb-ingest", str(program))
    said = subprocess.run(["sh", "-c", script, "kb-ingest", "a b", "c"], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [
        "amqps://kb:p@mq/kb?cafile=/a b&x=$1", "postgresql://db/kb?sslmode=require&a=b", "a b", "c",
    ]  # fmt: skip


@pytest.mark.parametrize(("heading", "block"), list(blocks()))
def test_commands_of_the_page_can_be_read(heading: str, block: str) -> None:
    """Each block is bash; what it copies is there. `make walk` does them all."""
    assert subprocess.run(["bash", "-n"], input=block.encode(), check=False).returncode == 0, heading
    for name in re.findall(r"(?<![\w/])(?:deploy|docs)/[\w./*-]+", block):
        assert list(ROOT.glob(name)), name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    """`systemd-analyze verify` and, at most 1.5, `systemd-analyze security`."""
    for path in (DEPLOY / "systemd").iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/kb-ingest/bin/kb-ingest", "/bin/true"))
    units = sorted(path.name.replace("@.", "@knowledge.") for path in UNITS)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "./kb-ingest.target", *(f"./{name}" for name in units)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert [line for line in verified.stderr.splitlines() if "kb-ingest" in line] == []
    for name in units:
        rated = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--threshold=15", "--no-pager", f"./{name}"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert rated.returncode == 0, rated.stdout[-300:] + rated.stderr
