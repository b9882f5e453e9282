# Each target does all its own set-up; nothing is needed beyond Python 3.11 and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help demo test bench lint format screenshots reference lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## the whole product on a stand-in provider: nothing to configure
	$(BIN)/mailplane demo $(ARGS)

test: $(VENV)/.dev ## lint, types, import rules and every test
	tools/system-packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

bench: $(VENV)/.dev ## figures of speed and size against Postfix, as JSON (needs root; 15 to 30 minutes)
	@tools/system-packages
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: $(VENV)/.dev ## real faults and races, each a number (RUNS="kill power" FULL=1 TWINS=1)
	tools/system-packages
	FULL=$(FULL) TWINS=$(TWINS) $(BIN)/python -m tests.chaos $(RUNS)

mutants: $(VENV)/.dev ## small mistakes in the pure domain that no test notices (ARGS="caps ledger")
	$(BIN)/python -m tests.mutation $(ARGS)

soak: $(VENV)/.dev ## the simulation, seed after seed until it is stopped (HOURS=8)
	HOURS=$(HOURS) $(BIN)/python -m tests.simulation.soak $(ARGS)

lint: $(VENV)/.dev ## lint, types and import rules only
	$(BIN)/ruff check . && $(BIN)/lint-imports && $(BIN)/mypy

format: $(VENV)/.dev ## format and mend what can be mended by machine
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

screenshots: $(VENV)/.dev ## screenshots/ anew, from the running demo
	$(BIN)/python tools/screenshots.py

reference: $(VENV)/.dev ## the keys in docs/book.md anew, from the types of the book
	$(BIN)/python tools/reference.py

lock: ## both lock files anew (needs uv)
	uv pip compile --universal --generate-hashes --no-header --group build pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --no-header --group build --group dev pyproject.toml -c requirements.lock -o requirements-dev.lock

clean: ## throw the virtual environment and the caches away
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mailplane needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@
