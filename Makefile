# Needs nothing but Python >= 3.10 (PYTHON=python3.12 make ... to choose one). `make help` lists the targets.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
LOCK := requirements-dev.lock
UV ?= $(BIN)/uv
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
EMBEDDED := $(BIN)/python -m pyapi.embedded

.DEFAULT_GOAL := help
.PHONY: help install lock sbom audit demo test test-money test-model test-races test-crash test-move test-credit test-invoices test-faults test-input test-mutation check bench bench-scale migrate psql stop reset

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## make .venv with everything the other targets need

$(STAMP): pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "error: $(PYTHON) is not Python 3.10 or newer; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: $(PYTHON) cannot make virtual environments; on Debian or Ubuntu:" >&2; \
		echo "       apt-get install python3-venv (or name another Python: make PYTHON=...)" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@# Nothing is built by what no hash vouches for: setuptools comes first, for what is only to be had as source.
	@awk '/^[a-z]/ { wanted = /^setuptools==/ } wanted' $(LOCK) >.venv/setuptools.lock
	@{ $(PIP) --require-hashes --only-binary :all: -r .venv/setuptools.lock && \
		$(PIP) --require-hashes --no-build-isolation --use-pep517 -r $(LOCK); } || { \
		echo "error: $(LOCK) could not be installed as it stands. Where a hash does not match, the package index" >&2; \
		echo "       gives out a file other than the one that was locked: do not go on before you know why. Where a" >&2; \
		echo "       version is missing there, pin what there is, and look at the difference: make lock UV=uv" >&2; exit 1; }
	$(PIP) --no-build-isolation --editable .
	@touch $@

lock: ## pin anew what development needs, within the ranges of pyproject.toml (ARGS=--upgrade for the newest)
	@command -v $(UV) >/dev/null || $(MAKE) install
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.10 --extra dev \
		--custom-compile-command "make lock" --output-file $(LOCK) $(ARGS) pyproject.toml

sbom: install ## write dist/irisx-usage.cdx.json: what the lock file pins, as CycloneDX
	@$(BIN)/python -m supply sbom

audit: install ## ask for known vulnerabilities of what the lock file pins (exit 1: some; 3: could not be asked)
	@$(BIN)/python -m supply audit $(ARGS)

demo: install ## see calls billed, summed and invoiced, on a PostgreSQL of its own
	@$(BIN)/irisx-usage demo

test: install ## run every test, on the newest and the oldest PostgreSQL found or as marked (PYTEST_ADDOPTS=--pg=18 for one)
	@$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal

test-money: install ## price ten million random cases like an oracle in fractions (IRISX_TEST_MONEY=1000000 for fewer)
	@IRISX_TEST_MONEY=$${IRISX_TEST_MONEY:-10000000} $(BIN)/python -m pytest -s --pg 18 tests/test_charge.py -k random_prices

test-crash: install ## kill a server at work a thousand times and miss nothing (ARGS="--seed 7 --cycles 25" to do it again)
	@$(BIN)/python -m campaigns crash $(ARGS)

test-model: install ## play a million random histories like an oracle in fractions (ARGS="--seed 7 --histories 500" to do it again)
	@$(BIN)/python -m campaigns model $(ARGS)

test-races: install ## every interleaving of short transactions on the same rows, then random ones (ARGS="--seed 7")
	@$(BIN)/python -m campaigns races $(ARGS)

test-move: install ## move a database every way there is, between every PostgreSQL found, and bill on
	@$(BIN)/python -m campaigns move $(ARGS)

test-credit: install ## compare balances with an oracle's at every instant of a million random events
	@$(BIN)/python -m campaigns credit $(ARGS)

test-faults: install ## raise every SQLSTATE at every statement of the trigger (ARGS="--seed 7 --minutes 5")
	@$(BIN)/python -m campaigns faults $(ARGS)

test-input: install ## a million hostile values through every door (ARGS="--seed 7 --values 100000")
	@$(BIN)/python -m campaigns input $(ARGS)

test-mutation: install ## break the record path, one thing at a time, and see who notices (ARGS="--sample 100")
	@$(BIN)/python -m campaigns mutation $(ARGS)

test-invoices: install ## compare whole invoices of a thousand random histories with an oracle (ARGS="--seed 7 --histories 25")
	@$(BIN)/python -m campaigns invoices $(ARGS)

check: install ## format, lint and type checks, then the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(MAKE) test

bench: install ## measure what metering costs, in half an hour (QUICK=1: minutes; ARGS="--only single --pg 18")
	@$(BIN)/python -m bench run $(if $(QUICK),--quick) $(ARGS)

bench-scale: install ## bill ROWS=1000000 finished rows, and see what is fast with so many (50000000: hours)
	@$(BIN)/python -m bench.scale --rows $${ROWS:-$(or $(ROWS),1000000)} $(ARGS)

migrate: install ## bring the database up to date (DATABASE_URL, else the embedded one)
	@test -n "$$IRISX_USAGE_DATABASE_URL$$DATABASE_URL$$PGHOST$$PGSERVICE$$PGDATABASE" || $(EMBEDDED) start >/dev/null
	@$(BIN)/irisx-usage migrate

psql: install ## open psql on the embedded server
	@$(EMBEDDED) psql

stop: install ## stop the embedded server; its data stay
	@$(EMBEDDED) stop

reset: install ## stop the embedded server and delete its data
	@$(EMBEDDED) destroy
