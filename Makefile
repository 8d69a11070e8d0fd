# The commands of this repository; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The first Python from 3.11 on; PYTHON=... chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$python"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
TEST_ARGS ?=
WORKERS ?= 3

CREATED := $(VENV)/.created
RUNTIME := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
AUDIT := $(VENV)/audit
AUDIT_ARGS ?=
SOAK_ARGS ?=
WALK_ARGS ?=

.PHONY: help run test lint types imports pytest test-rabbitmq4 asyncapi api-fuzz fuzz bench flames faults scorecard soak \
	walk containers screenshots lock lock-node audit sbom clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

run: $(RUNTIME) ## starts everything with demo data; Ctrl-C ends it
	@exec $(BIN)/kb-ingest up --demo --data-dir .data

test: ## lint, types, imports, then the whole suite against a real RabbitMQ and a real PostgreSQL
	@$(MAKE) lint
	@$(MAKE) types
	@$(MAKE) imports
	@$(MAKE) pytest

lint: $(DEV) ## style: ruff's rules and its format
	@echo "== lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(DEV) ## types: mypy, strict
	@echo "== types"
	@$(BIN)/mypy

imports: $(DEV) ## who may import whom: import-linter
	@echo "== imports"
	@$(BIN)/lint-imports --no-logo

pytest: $(DEV) ## the suite alone, by WORKERS=3 processes; TEST_ARGS="-k word" goes to pytest
	@echo "== tests"
	@exec $(BIN)/python -m tests.services.provide --workers $(WORKERS) \
		$(BIN)/python -m pytest --numprocesses $(WORKERS) --max-worker-restart 0 $(TEST_ARGS)

test-rabbitmq4: ## the suite on RabbitMQ 4; as root on Debian it is made beside yours, in .rabbitmq4
	@RABBITMQ_VERSION=4 $(MAKE) pytest

asyncapi: $(CREATED) ## the contract for subscribers, to the official parser, which it installs; needs Node.js
	@$(BIN)/python -m tests.services.node
	@cd docs/subscribing && node --input-type=module --eval "$$PARSE"

define PARSE
import { Parser, fromFile } from '@asyncapi/parser';
const { diagnostics } = await fromFile(new Parser(), '../../schema/asyncapi.yaml').parse();
const complaints = diagnostics.filter(({ severity }) => severity < 2); // errors and warnings; the rest is advice
for (const { message, path } of complaints) console.error(`$${path.join('/')}: $${message}`);
process.exit(complaints.length ? 1 : 0);
endef
export PARSE

api-fuzz: $(DEV) ## the admin API against its own OpenAPI for SECONDS=1200
	@FUZZ_SECONDS=$(or $(SECONDS),1200) $(MAKE) pytest WORKERS=1 TEST_ARGS="tests/gallery/test_real.py -k openapi -q -rP"

fuzz: $(DEV) ## fresh inputs for all that reads strangers' bytes, for SECONDS=600; SCORECARD=1 writes it down
	@$(PIP) install --require-hashes -r constraints-fuzz.txt 2>/dev/null || true
	@exec $(BIN)/python -m tests.fuzz $(or $(SECONDS),600) $(if $(SCORECARD),--scorecard)

bench: $(DEV) ## measures what the documents promise
	@exec $(BIN)/python -m tests.services.provide $(BIN)/python -m bench

flames: $(DEV) ## a flame graph of each program under load: build/flames
	@$(PIP) install --require-hashes -r constraints-profile.txt
	@exec $(BIN)/python -m bench.flames

faults: $(DEV) ## every fault under load, half an hour; ONLY="RabbitMQ killed" chooses, BROKEN=1 proves that it bites
	@exec $(BIN)/python -m tests.services.provide $(BIN)/python -m tests.resilience $(if $(BROKEN),--broken) $(ONLY)

scorecard: $(DEV) ## the same, written to docs/scorecard.md
	@exec $(BIN)/python -m tests.services.provide $(BIN)/python -m tests.resilience --scorecard

soak: $(DEV) ## an hour of load and a million events that wait, written to docs/scorecard.md; SOAK_ARGS="--minutes 5"
	@exec $(BIN)/python -m tests.services.provide $(BIN)/python -m tests.resilience.soak --scorecard $(SOAK_ARGS)

walk: $(DEV) ## docs/deploying.md line by line on a bare Debian machine of its own, for ten minutes; needs root
	@exec $(BIN)/python -m tests.walk $(WALK_ARGS)

containers: $(DEV) ## the image and Compose, as docs/deploying.md has them, on an engine of its own, for ten minutes; needs root
	@exec $(BIN)/python -m tests.containers

screenshots: $(DEV) ## pictures of the gallery, made anew: docs/pictures
	@exec $(BIN)/python -m tests.services.provide $(BIN)/python -m tests.gallery.pictures

audit: sbom $(AUDIT)/.installed ## known vulnerabilities of what is pinned (asks a service), and the bill of materials
	@echo "== audit"
	@$(BIN)/python -m deploy.audit $(AUDIT)/bin/pip-audit $(AUDIT_ARGS)

sbom: $(CREATED) ## the bill of materials of what is pinned: build/sbom.cdx.json
	@mkdir -p build
	@$(BIN)/python -m deploy.sbom > build/sbom.cdx.json
	@echo "build/sbom.cdx.json"

lock: $(CREATED) ## pins anew all packages with their hashes: constraints*.txt
	@$(PIP) install uv
	@printf 'hatchling\neditables\n' | $(BIN)/uv pip compile pyproject.toml - $(LOCK) --output-file constraints.txt
	@printf 'hatchling\neditables\n' | $(BIN)/uv pip compile pyproject.toml - --extra otel \
		--constraint constraints.txt $(LOCK) --output-file constraints-otel.txt
	@$(BIN)/uv pip compile pyproject.toml --extra otel --group dev --constraint constraints.txt $(LOCK) \
		--output-file constraints-dev.txt
	@$(BIN)/uv pip compile --group audit $(LOCK) --output-file constraints-audit.txt
	@$(BIN)/uv pip compile --group fuzz $(LOCK) --output-file constraints-fuzz.txt
	@$(BIN)/uv pip compile --group profile $(LOCK) --output-file constraints-profile.txt

lock-node: ## the same for the packages of the subscriber in Node, whose versions are in its package.json
	@cd docs/subscribing && rm -rf package-lock.json node_modules && npm install --package-lock-only --loglevel=error
	@cd docs/subscribing && node --eval "$$PLAIN" package-lock.json

define PLAIN
const [file] = process.argv.slice(1);
const lock = JSON.parse(fs.readFileSync(file), (key, value) => (key === 'funding' ? undefined : value)); // addresses
fs.writeFileSync(file, `$${JSON.stringify(lock, null, 2)}\n`);
endef
export PLAIN

LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

clean: ## removes what the other commands made, .data included
	@rm -rf $(VENV) .data .rabbitmq4* .walk build dist docs/subscribing/node_modules
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each installation is done again only when what it depends on has changed.
$(RUNTIME): $(CREATED) pyproject.toml constraints.txt
	@echo "== install"
	@$(PIP) install --require-hashes -r constraints.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(CREATED) pyproject.toml constraints.txt constraints-dev.txt
	@echo "== install"
	@$(PIP) install --require-hashes -r constraints-dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(RUNTIME) $@

# In an environment of its own, since it brings a pip and packages that the suite is not to depend on.
$(AUDIT)/.installed: $(CREATED) constraints-audit.txt
	@echo "== install"
	@$(BIN)/python -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check --no-input --quiet install \
		--require-hashes -r constraints-audit.txt
	@touch $@

$(CREATED):
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: Python 3.11 or newer is needed (Debian/Ubuntu: apt-get install python3-venv)" >&2; exit 1; fi
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		if ! "$(PYTHON)" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
			package="python$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"; \
			if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
				echo "error: $(PYTHON) cannot make a virtual environment: install $$package" >&2; exit 1; fi; \
			echo "== installing $$package"; \
			export DEBIAN_FRONTEND=noninteractive; \
			said=$$({ apt-get -qq update || true; \
				apt-get -qq --yes install --no-install-recommends "$$package"; } </dev/null 2>&1) || \
				{ echo "error: apt-get could not install $$package: $${said##*$$'\n'}" >&2; exit 1; }; \
		fi; \
		"$(PYTHON)" -m venv --clear $(VENV); \
	fi
	@touch $@
