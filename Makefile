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

.PHONY: setup test test-slow lint demo bench known docs clean

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

# The agent frameworks that steps.py compares with, and the retrieval frameworks of indexing.py, live in environments of
# their own: they pin what ours do not.
bench: setup $(VENV)/peers $(VENV)-agents/ready $(VENV)-rag/ready  ## every figure of README and docs; DOUGONG_DATA names the folder of public data
	@for file in $(filter-out %/steps.py %/indexing.py %/assembly.py,$(BENCHMARKS)); do echo "# $$file" >&2; $(BIN)/python $$file || exit 1; done
	@echo "# tests/benchmarks/steps.py" >&2; $(VENV)-agents/bin/python tests/benchmarks/steps.py
	@for file in indexing assembly; do \
	  echo "# tests/benchmarks/$$file.py" >&2; $(BIN)/python tests/benchmarks/$$file.py --peers $(VENV)-rag/bin/python || exit 1; \
	done

known: setup  ## the index of techniques that core carries; part of every release
	$(BIN)/python -m dougong.known core/src/dougong/known.json plugins contrib

docs: setup
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) $(VENV)-agents $(VENV)-rag site

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# The build backend is installed first, so that one pip call without build isolation does for all distributions.
$(VENV)/demo: constraints.txt $(addsuffix /pyproject.toml,$(DEMO)) | $(BIN)/pip
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation $(addprefix --editable ,$(DEMO))
	@touch $@

# torch goes first: a newer one, asked for by another package, brings gigabytes of CUDA. hnswlib is built on the spot, which
# needs the build isolation that the line after it does without.
$(VENV)/everything: constraints.txt requirements-dev.txt $(addsuffix pyproject.toml,core/ analyzer/ $(PLUGINS)) | $(BIN)/pip
	$(PIP) hatchling editables torch hnswlib
	$(PIP) --no-build-isolation --requirement requirements-dev.txt $(addprefix --editable ,$(EVERYTHING))
	@touch $@

$(VENV)/peers: requirements-bench.txt | $(VENV)/everything
	$(PIP) --requirement requirements-bench.txt
	@touch $@

$(VENV)-agents/ready: requirements-agents.txt
	$(PYTHON) -m venv $(VENV)-agents
	$(VENV)-agents/bin/pip install --quiet --disable-pip-version-check hatchling editables --requirement requirements-agents.txt
	$(VENV)-agents/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --editable core --editable analyzer --editable plugins/patterns/tool-use
	@touch $@

$(VENV)-rag/ready: requirements-rag.txt
	$(PYTHON) -m venv $(VENV)-rag
	$(VENV)-rag/bin/pip install --quiet --disable-pip-version-check --requirement requirements-rag.txt
	@touch $@
