# make test   all tests, those with a real guest too (the first run builds the guest image: minutes)
# make unit   the tests that need no guest
# make test-cluster  the tests of many machines alone: PostgreSQL in a temporary folder, workers that get killed
# make check  linters, types, layers, dependencies
# make fuzz   fuzzes the readers of traces for SECONDS each (60; x86-64 only)
# make bench  figures into bench/results.json
# make eval   runs known techniques, dual-use programs and ordinary jobs in guests: bench/eval.json and a table
# make docs   writes the generated parts of docs/
# make site   builds the documentation as a site, in build/site
# make screenshots REPORT=.../report.json  makes the pictures in docs/img
# make image  builds the default guest image
# make lock   renews both lock files
# make clean  removes caches and the environment (guest images stay: ./malkoha image remove)
# Each target installs what is missing first.

.PHONY: help setup test test-cluster unit check format fuzz bench eval docs site screenshots image lock clean
.DEFAULT_GOAL := help
BIN := .venv/bin

help:
	@sed -n 's/^# make/make/p' Makefile

setup:
	@sh scripts/setup.sh dev </dev/null

test: setup
	$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage report --format=total | sed 's/^/branch coverage: /; s/$$/ %/'

test-cluster: setup
	$(BIN)/python -m pytest -m cluster $(ARGS)

unit: setup
	$(BIN)/python -m pytest -m 'not live' $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src/malkoha tests $(wildcard bench/*.py evaluation/*.py)
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

SECONDS ?= 60
fuzz: setup
	$(BIN)/python -m tests.fuzz records --seconds $(SECONDS)
	$(BIN)/python -m tests.fuzz log --seconds $(SECONDS)

bench: setup
	$(BIN)/python -m bench $(ARGS)

eval: setup
	$(BIN)/python -m evaluation $(ARGS)

docs: setup
	$(BIN)/python -c 'from malkoha.config import markdown; print(markdown(), end="")' >docs/settings.md
	$(BIN)/python -c 'from malkoha.trace.syscalls import markdown; print(markdown(), end="")' >docs/syscalls.md
	$(BIN)/python -c 'from tests.conformance.known import markdown; print(markdown(), end="")' >docs/conformance.md
	$(BIN)/python -c 'from malkoha.signatures.catalogue import markdown; print(markdown(), end="")' >docs/signatures.md
	$(BIN)/python -c 'from malkoha.cli.reference import markdown; print(markdown(), end="")' >docs/reference/cli.md
	$(BIN)/python -c 'from malkoha.web.reference import markdown; print(markdown(), end="")' >docs/reference/rest.md

site: setup
	$(BIN)/mkdocs build --strict --quiet

# REPORT names the report.json of a real analysis
screenshots: setup
	$(BIN)/python -m docs.screenshots $(REPORT)

image: setup
	$(BIN)/malkoha image build $(ARGS)

# Universal resolution: one file with hashes serves every supported Python. No address of an index is written.
UV := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --quiet
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(UV) pyproject.toml -o requirements.lock
	$(UV) pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* build dist *.egg-info
	rm -rf .venv .venv-run-* .venv-dev-* .venv.new-* .venv.lock
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
