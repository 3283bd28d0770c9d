# `make test` and `make demo` work from nothing: each makes its virtual environment first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

PLUGINS = $(sort $(dir $(wildcard plugins/*/*/pyproject.toml contrib/*/pyproject.toml)))
EVERYTHING = core analyzer $(PLUGINS)
DEMO = core analyzer $(addprefix plugins/,loaders/files loaders/text loaders/markdown tokenizers/words \
	chunkers/recursive retrievers/library retrievers/bm25 llms/extractive patterns/rag)
BENCHMARKS = $(filter-out tests/benchmarks/_%,$(sort $(wildcard tests/benchmarks/*.py)))

.PHONY: setup test test-slow lint demo bench docs clean

setup: $(VENV)/everything  ## core and every plugin, editable, with the tools of development

test: setup
	$(BIN)/python -m pytest

test-slow: setup  ## long fault and property tests
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy core/src

demo: $(VENV)/demo  ## six questions over the documents in examples/corpus; no torch, no key, no network after the install
	$(BIN)/python examples/demo.py

bench: setup $(VENV)/peers  ## every figure of README and docs; DOUGONG_DATA names the folder of public data
	@for file in $(BENCHMARKS); do echo "# $$file" >&2; $(BIN)/python $$file || exit 1; done

docs: setup
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# The build backend is installed first, so that one pip call without build isolation does for all distributions.
$(VENV)/demo: constraints.txt $(addsuffix /pyproject.toml,$(DEMO)) | $(BIN)/pip
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation $(addprefix --editable ,$(DEMO))
	@touch $@

# torch goes first: a newer one, asked for by another package, brings gigabytes of CUDA.
$(VENV)/everything: constraints.txt requirements-dev.txt $(addsuffix pyproject.toml,core/ analyzer/ $(PLUGINS)) | $(BIN)/pip
	$(PIP) hatchling editables torch
	$(PIP) --no-build-isolation --requirement requirements-dev.txt $(addprefix --editable ,$(EVERYTHING))
	@touch $@

$(VENV)/peers: requirements-bench.txt | $(VENV)/everything
	$(PIP) --requirement requirements-bench.txt
	@touch $@
