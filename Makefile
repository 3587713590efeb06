# One command each. Python ≥ 3.11 and make are all that has to be there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR ?= var
# Much of the suite waits for servers: one process more than there are CPUs, and no more than a machine's memory holds.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -lt 8 ] && echo $$((n + 1)) || echo 8)
IN_PARALLEL := -n $(WORKERS) --dist loadscope -p no:benchmark
FAULT_TESTS := tests/e2e/faults
IMAGE_TESTS := tests/images
DEPLOY_TOOLS := .deploy-tools
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(BIN)/python locks/install.py
# Modules are compiled when they are first imported, and then stay so: most of what is installed never is.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup run test suite lint-and-types system-packages check lint types deploy-tools docs lock loadtest compare bench faults images fuzz sbom clean

help:            ## Show this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: $(VENV)/.ready-train            ## Make .venv with what serving and training need
run: setup            ## Train, sign and serve the example models, and print a curl command
	@exec $(BIN)/secure-ml-api serve --home $(HOME_DIR) --demo

test:            ## Set up and run the whole test suite
	@$(MAKE) --no-print-directory -j 3 $(VENV)/.ready-test deploy-tools system-packages
	@# Side by side, as the first tests mostly wait for servers: what is found is told at once, and all of it.
	@$(MAKE) --no-print-directory -j 2 --keep-going suite lint-and-types
	@# By themselves: what a fault does to a server under load is not to be told from what other tests do to it.
	$(BIN)/python -m pytest -n 2 --dist loadscope -p no:benchmark $(FAULT_TESTS)

suite:
	$(BIN)/python -m pytest $(IN_PARALLEL) --ignore $(FAULT_TESTS) --ignore $(IMAGE_TESTS)

lint-and-types:
	@$(MAKE) --no-print-directory --output-sync=target lint types

system-packages:
	@sh tests/system-packages.sh

check: $(VENV)/.ready-test            ## Everything that needs no server and packs no model: under a minute on a free machine
	@$(MAKE) --no-print-directory -j 2 --output-sync=target lint types
	$(BIN)/python -m pytest tests/unit -q -m "not slow" $(IN_PARALLEL)

lint: $(VENV)/.ready-test            ## Ruff and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.ready-test            ## Mypy, strict
	$(BIN)/mypy

deploy-tools: $(DEPLOY_TOOLS)/.ready            ## What the tests read deploy/ with: checkov, hadolint and kustomize

docs: $(VENV)/.ready-docs            ## Build the documentation into reports/docs; a warning is an error
	DOCS_SOURCE_URL='$(DOCS_SOURCE_URL)' $(BIN)/python -m sphinx -E -W --keep-going -q -d reports/doctrees docs reports/docs
	@echo "reports/docs/index.html"

loadtest: $(VENV)/.ready-test            ## Load-test a server; see loadtests/README.md
	$(BIN)/python -m loadtests $(LOADTEST)

compare: $(VENV)/.ready-test            ## Measure this server beside others; see loadtests/compare/README.md
	$(BIN)/python -m loadtests.compare $(COMPARE)

bench: $(VENV)/.ready-test            ## Time each step of a request, beside the last saved run; see benchmarks/README.md
	$(BIN)/python -m pytest benchmarks -q -p no:logging --benchmark-columns=min,median,iqr \
	  $(if $(wildcard .benchmarks/*/*.json),--benchmark-compare) $(BENCH)

faults: $(VENV)/.ready-test            ## Measure the server under each fault and write docs/reliability.md
	$(BIN)/python -m pytest $(FAULT_TESTS)/$(FAULTS) --figures docs/reliability.md --timeout 900

images: $(VENV)/.ready-test            ## Build the container images and run them (ENGINE=docker or podman, BASE=another base image)
	ENGINE='$(ENGINE)' BASE='$(BASE)' BUILD_OPTIONS='$(BUILD_OPTIONS)' RUN_OPTIONS='$(RUN_OPTIONS)' \
	  $(BIN)/python -m pytest $(IMAGE_TESTS) -p no:benchmark --timeout 1000

fuzz: $(VENV)/.ready-fuzz            ## Fuzz what reads bytes, for a minute; see tests/fuzz/README.md
	cd tests && $(abspath $(BIN))/python -m fuzz $(FUZZ)

lock:            ## Resolve the locks anew (needs uv)
	for extra in serve train xgboost lightgbm tensorflow client arrow redis granian postgres otel loadtest docs test fuzz; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --extra $$extra pyproject.toml locks/build.in -o locks/$$extra.txt; done
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header locks/deploy.in -o locks/deploy.lock

SBOM_LOCKS := serve client train xgboost lightgbm tensorflow arrow redis granian postgres otel
SBOM_DIR := reports/sbom
sbom: $(VENV)/.ready-test            ## Write a software bill of materials (CycloneDX) for each lock, into reports/sbom
	@mkdir -p $(SBOM_DIR)
	@# The tool reads no git tags: it is told the version in a copy of the project's file.
	@version=$$($(BIN)/python -m hatchling version) && \
	  sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml >$(SBOM_DIR)/.toml
	@for lock in $(SBOM_LOCKS); do \
	  $(BIN)/python -W ignore -m cyclonedx_py requirements locks/$$lock.txt --pyproject $(SBOM_DIR)/.toml \
	    --spec-version 1.6 --output-reproducible --validate -o $(SBOM_DIR)/secure-ml-api-$$lock.cdx.json && \
	  $(BIN)/python locks/licences.py $(SBOM_DIR)/secure-ml-api-$$lock.cdx.json || exit 1; done; rm $(SBOM_DIR)/.toml

clean:            ## Remove the environment and all that tests and runs left behind
	rm -rf $(VENV) $(DEPLOY_TOOLS) var reports .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.made: locks/pip.lock
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "secure-ml-api needs Python 3.11 or newer; name one: make … PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --no-compile --require-hashes -r locks/pip.lock
	@touch $@

# Installed once per lock: every archive is checked against its hash, and nothing is built with an unpinned tool.
$(VENV)/.ready-test: locks/torch.lock
$(VENV)/.ready-%: locks/%.txt pyproject.toml $(VENV)/.made
	@echo "Installing ($*) into $(VENV) …"
	@$(INSTALL) locks/$*.txt $(if $(filter test,$*),locks/torch.lock)
	@$(PIP) install --no-compile --no-deps --no-build-isolation --editable .
	@touch $@

# By themselves, as they pin a hundred packages in versions of their own.
$(DEPLOY_TOOLS)/.ready: locks/deploy.lock locks/kustomize.lock $(VENV)/.made
	@rm -rf $(DEPLOY_TOOLS)
	@$(BIN)/python -m venv --without-pip $(DEPLOY_TOOLS)
	@echo "Installing checkov, hadolint and kustomize into $(DEPLOY_TOOLS) …"
	@$(INSTALL) --python $(DEPLOY_TOOLS)/bin/python locks/deploy.lock
	@# Of this one only the library is used, which asks for no Python.
	@$(PIP) --python $(DEPLOY_TOOLS)/bin/python install --no-compile --no-deps --ignore-requires-python \
	  --only-binary :all: --require-hashes -r locks/kustomize.lock
	@touch $@
