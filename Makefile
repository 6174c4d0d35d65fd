# The front door: everything that a person or CI does with this repository, one word each.
# `make` alone lists the words. Works with GNU make 4.3 or later; needs python3 (3.11 or later).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Which Python makes the virtual environment: `make setup PYTHON=python3.12`. Else the system's own, if
# it will do: distributions build theirs with optimizations that one from pyenv lacks, and events and
# messages cost a tenth less with it.
ifndef PYTHON
PYTHON := $(shell /usr/bin/python3 -c 'import ensurepip, sys, venv; \
	sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2> /dev/null \
	&& echo /usr/bin/python3 || echo python3)
endif
# What `make test` runs: `make test TESTS=tests/unit`.
TESTS ?= tests
# More for pytest: `make test PYTEST_ARGS='-k lanes -x'`.
PYTEST_ARGS ?=
# How often `make soak` kills a part of a running instance, and with which seeds.
KILLS ?= 300
SEEDS ?= 1 2 3

BIN := .venv/bin
STAMP := .venv/.installed
PEERS := tests/peers/.installed

.PHONY: help
help: ## Lists these words
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(STAMP) ## Installs everything into .venv; once, and again when the lock changes

.PHONY: demo
demo: $(STAMP) ## Replays 18 months of real purchases through a running engine and shows what it did
	@$(BIN)/denrei demo

.PHONY: test
test: check $(PEERS) ## Checks, then runs all tests; exactly what CI runs
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadgroup $(PYTEST_ARGS) $(TESTS)

.PHONY: check
check: $(STAMP) ## Style, types, the floors of the architecture, and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m gateway.generate --check

.PHONY: bench
bench: $(STAMP) ## Measures the engine against its bare transport; writes bench/out.json
	@$(BIN)/python -m bench

.PHONY: bench-timers
bench-timers: $(STAMP) ## A million expiries and parked runs, beside a recomputation (about 6 minutes)
	@$(BIN)/python -m bench.timers

.PHONY: bench-filling
bench-filling: $(STAMP) ## What filling new segments does to acknowledgements (about 20 minutes)
	@$(BIN)/python -m bench.filling

.PHONY: bench-smpp
bench-smpp: $(STAMP) $(PEERS) ## Text messages over one SMPP bind: on the wire, and end to end
	@$(BIN)/python -m bench.smpp

.PHONY: bench-pumping
bench-pumping: $(STAMP) ## The fraud guard beside two others, on seeds it was not tuned on (some minutes)
	@$(BIN)/python -m bench.pumping

# The newest wheel there is in dist/, or none; asked when it is needed, after it was built.
WHEEL = $$(ls -t dist/denrei-*.whl | head -n 1)

.PHONY: wheel
wheel: $(STAMP) ## Builds the wheel into dist/, its fraud guard compiled where there is a C compiler
	@$(BIN)/python deploy/wheel.py

.PHONY: test-wheel
test-wheel: wheel ## Whether the wheel's compiled guard says the same as the sources (2 minutes)
	@$(BIN)/python -m bench.pumping.same "$(WHEEL)"

.PHONY: bench-guard
bench-guard: wheel ## What a check of the fraud guard costs, interpreted and compiled (2 minutes)
	@$(BIN)/python -m bench.pumping --cost --wheel "$(WHEEL)"

.PHONY: soak
soak: $(STAMP) ## The crash test for longer: KILLS=300 SEEDS='1 2 3'
	for seed in $(SEEDS); do \
		DENREI_TEST_KILLS=$(KILLS) DENREI_TEST_SEED=$$seed \
			$(BIN)/python -m pytest --timeout=7200 $(PYTEST_ARGS) tests/crash; \
	done

.PHONY: protos
protos: $(STAMP) ## Makes gateway/pb from proto/
	$(BIN)/python -m gateway.generate

.PHONY: setup-peers
setup-peers: $(PEERS) ## Installs the programs of others that tests talk to; `make test` does it too

# The lock holds every package with the hashes of its files, for all systems and Pythons at once.
.PHONY: lock
lock: ## Makes requirements.lock from pyproject.toml; needs uv
	@command -v uv > /dev/null || { echo "make lock needs uv: python3 -m pip install uv" >&2; exit 1; }
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--extra dev -o requirements.lock pyproject.toml

.PHONY: clean
clean: ## Removes .venv, dist and caches; keeps every store
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf tests/peers/.installed tests/peers/node_modules tests/peers/debian
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian and Ubuntu ship python3 without the part of venv that installs pip. The stamp is written
# last, so that an installation that was cut short is begun again.
$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || { \
		echo "There is no '$(PYTHON)'. Install Python 3.11 or later (Debian, Ubuntu: apt-get" \
			"install python3), or name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { \
		echo "Denrei runs on Python 3.11 to 3.14, and '$(PYTHON)' is" \
			"$$($(PYTHON) -c 'import platform; print(platform.python_version())')." \
			"Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
		package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		sudo=; test "$$(id -u)" = 0 || sudo="sudo -n"; \
		if command -v apt-get > /dev/null && $$sudo true 2> /dev/null; then \
			echo "Installing $$package, which python3 -m venv needs"; \
			$$sudo apt-get -q update && \
			$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y install $$package; \
		else \
			echo "'$(PYTHON) -m venv' is not complete here. Run: sudo apt-get install" \
				"$$package (or install venv and ensurepip for this Python in the way of" \
				"your system), then make again" >&2; exit 1; \
		fi; }
	@test -x $(BIN)/python || { echo "Making .venv"; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing what requirements.lock names (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes \
		--only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@# Once for all processes that will be started, also where Python may not keep what it compiles.
	@$(BIN)/python -m compileall -q -j 0 .venv/lib engine actors gateway > /dev/null || true
	@touch $@

# What tests talk to beside our own: npm's packages and Debian's, unpacked into tests/peers.
$(PEERS): $(STAMP) tests/peers/package-lock.json tests/peers/install.py
	@echo "Installing the test peers into tests/peers (about a minute)"
	@$(BIN)/python tests/peers/install.py
	@touch $@
