# Every target sets up what it needs: a virtual environment in .venv, made anew when pyproject.toml changes.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/batch-runner
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools

.DEFAULT_GOAL := help
.PHONY: help demo test test-readers test-long lint types docs wheel clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 — \2/p' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)/bin/pip install --quiet --editable .
	touch $@

$(TOOLS): $(READY)
	$(VENV)/bin/pip install --quiet --group test --group lint
	touch $@

demo: $(READY)  ## run the main job on sample_inputs/ against the embedded endpoint
	@mkdir -p demo-output
	@status=0; $(RUN) job run jobs/demo.toml --fresh || status=$$?; \
	echo; echo "The first lines of demo-output/demo.results.jsonl:"; \
	head -n 4 demo-output/demo.results.jsonl | tail -n 3 | cut -c -300; \
	echo; echo "Next: $(RUN) status demo-output/demo.results.jsonl"; \
	test $$status -eq 0 -o $$status -eq 10

test: $(TOOLS)  ## format, lint, types and the quick tests
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest -q -n auto --ignore=tests/readers -m "not long"

test-readers: $(READY)  ## the output read with pandas, polars, DuckDB, pyarrow, datasets and jq
	test -d $(VENV)-readers || $(PYTHON) -m venv $(VENV)-readers
	$(VENV)-readers/bin/pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-readers/bin/pip install --quiet --editable . --group test --group readers
	$(VENV)-readers/bin/pytest -q tests/readers -m readers

test-long: $(TOOLS)  ## minutes: a hundred thousand rows
	$(VENV)/bin/pytest -q -m long --timeout 1800

lint: $(TOOLS)  ## mend format and lint
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

types: $(TOOLS)  ## check types
	$(VENV)/bin/mypy

docs: $(TOOLS)  ## rewrite the generated parts of the documentation
	$(VENV)/bin/python -m docs.generate

wheel: $(TOOLS)  ## build the wheel into dist/
	rm -rf dist
	$(VENV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove what the targets made
	rm -rf $(VENV) $(VENV)-readers dist demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis
