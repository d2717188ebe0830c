# Every target sets up what it needs: a virtual environment in .venv, made anew when pyproject.toml changes.
SHELL := /bin/bash
PYTHON ?= python3
N ?= 1000
VENV := .venv
RUN := $(VENV)/bin/batch-runner
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
WORKERS := $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) * 3 / 2 )))

define LOOK
from batch_runner import read_results
for result in sorted(read_results("demo-output/demo.results.jsonl"), key=lambda result: result.source)[5:17]:
    print(f"  {result.id:<21} {result.status:<8} {result.usage.total_tokens or 0:>4} tokens  {(result.answer or result.message)[:60]}")
endef
export LOOK

.DEFAULT_GOAL := help
.PHONY: help demo test test-readers test-long torture bench bench-full lint types docs prices wheel clean

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
	@status=0; $(RUN) job run jobs/demo.toml --fresh || status=$$?; \
	test $$status -eq 10 || { echo "the demo should end with 10, it ended with $$status"; exit 1; }; \
	echo; echo "What came back (demo-output/demo.results.jsonl; the bad lines are there on purpose):"; \
	$(VENV)/bin/python -c "$$LOOK"; \
	echo; echo "Next: $(RUN) status demo-output/demo.results.jsonl"

test: $(TOOLS)  ## format, lint, types and the quick tests
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest -q -n $(WORKERS) --ignore=tests/readers -m "not long"

test-readers: $(READY)  ## heavy: the output read with six data tools, Parquet inputs, the embedded endpoint asked by another client
	test -d $(VENV)-readers || $(PYTHON) -m venv $(VENV)-readers
	$(VENV)-readers/bin/pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-readers/bin/pip install --quiet --editable . --group test --group readers --group clients
	$(VENV)-readers/bin/pytest -q tests/readers tests/fake_server/test_other_clients.py tests/test_inputs_as_found.py

test-long: $(TOOLS)  ## minutes: a hundred thousand rows, and thousands of odd days in the life of an output
	$(VENV)/bin/pytest -q -m long --timeout 1800
	MODEL_EXAMPLES=300 $(VENV)/bin/pytest -q tests/end_to_end/test_model.py

torture: $(TOOLS)  ## kill -9 real runs N times (N=1000: about half an hour), and show what was lost and what was bought again
	TORTURE_KILLS=$(N) $(VENV)/bin/pytest -q -s tests/end_to_end/test_torture.py

bench: $(TOOLS)  ## minutes: this program beside a bare loop and three others (needs nginx with Lua)
	$(VENV)/bin/python -m benchmarks.race

bench-full: $(TOOLS)  ## the same with the long scenes, and everything else that benchmarks/README.md tells of
	$(VENV)/bin/python -m benchmarks.race --full --results benchmarks/race.json
	-$(VENV)/bin/python -m benchmarks.start
	-$(VENV)/bin/python -m benchmarks.stall
	$(VENV)/bin/python -m benchmarks.first_pass --rows 1_000_000 --rounds 3
	-$(VENV)/bin/python -m benchmarks.index
	$(VENV)/bin/python -m benchmarks.memory 10_000_000

lint: $(TOOLS)  ## mend format and lint
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

types: $(TOOLS)  ## check types
	$(VENV)/bin/mypy

docs: $(TOOLS)  ## rewrite the generated parts of the documentation
	$(VENV)/bin/python -m docs.generate

prices: $(TOOLS)  ## take over OpenAI's list prices from the genai-prices that pyproject.toml names
	$(VENV)/bin/python -m tests.pricing.make

wheel: $(TOOLS)  ## build the wheel into dist/
	rm -rf dist
	$(VENV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove what the targets made
	rm -rf $(VENV) $(VENV)-readers $(VENV)-bench dist demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis
