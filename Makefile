# `make` alone lists the targets. The first one that needs it sets up .venv; after that it is only checked against pyproject.toml and constraints/.

PYTHON ?= python3
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
FUZZ_ARGS ?= 100000
SOAK_ARGS ?=

# Many tests wait for processes, so four more of them run at a time than there are cores.
PYTEST := -m pytest --numprocesses $(shell expr $$(getconf _NPROCESSORS_ONLN) + 4) --maxprocesses 6 --dist worksteal

# What needs neither gigabytes of memory nor a Ray cluster, without the table of faults.
USUAL := not faults and not large and not ray

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := $(VENV)/.torch
LATEST := .venv-latest
OLDEST := .venv-oldest
PEERS := .venv-peers

# Where this is set, each of the thousand processes that the tests start compiles the loader anew: a third of its CPU time.
unexport PYTHONDONTWRITEBYTECODE

# Bytecode is written for what is imported, by whoever imports it first: compiling all of TensorFlow takes as long as installing it.
PIP := -m pip install -qq --disable-pip-version-check --no-compile
PROJECT := --editable '.[audio,image,metrics,ray,remote,volume,tensorflow,jax,dev]'
# By the environment, because that reaches the packages that build the loader as well; newer versions of pip have a variable of their own for these.
TESTED := PIP_CONSTRAINT=constraints/tested.txt PIP_BUILD_CONSTRAINT=constraints/tested.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-torch test-ray test-all test-latest test-oldest faults soak lint bench bench-auto bench-cold bench-scale bench-far bench-ray bench-peers fuzz docs pictures clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## train a small network on handwritten digits, fed by the loader (DEMO_ARGS="--epochs 5")
	@$(BIN)/python examples/digits.py $(DEMO_ARGS)

test: $(READY) ## run the tests (PYTEST_ARGS="tests/unit -k order"), but for thorough ones; those that need PyTorch if it is there
	@$(BIN)/python $(PYTEST) --hypothesis-profile few -m "$(USUAL) and not thorough$(if $(wildcard $(TORCH)),, and not torch)" $(PYTEST_ARGS)

test-torch: $(TORCH) ## run the tests that need PyTorch, which it installs
	@$(BIN)/python $(PYTEST) -m torch $(PYTEST_ARGS)

# A Ray cluster starts up to ten processes, each of which has some seconds to appear: one at a time, and nothing beside it.
test-ray: $(READY) ## run the tests on Ray clusters, which this machine starts
	@$(BIN)/python -m pytest -m ray $(PYTEST_ARGS) || [ $$? -eq 5 ]  # 5: none was chosen

test-all: $(TORCH) test-ray ## run all tests
	@$(BIN)/python $(PYTEST) -m "not faults and not ray" $(PYTEST_ARGS)

test-latest: ## run the tests with the newest version of everything, in .venv-latest
	@test -x $(LATEST)/bin/python || $(PYTHON) -m venv $(LATEST)
	@echo "Installing the newest of everything in $(LATEST) ..."
	@$(LATEST)/bin/python $(PIP) --upgrade --upgrade-strategy eager $(PROJECT)
	@LOADER_TEST_COLD=1 $(LATEST)/bin/python $(PYTEST) -m "$(USUAL) and not torch" $(PYTEST_ARGS)

test-oldest: $(OLDEST)/.ready ## run the tests with the oldest versions that pyproject.toml allows, in .venv-oldest (PYTHON=python3.10)
	@LOADER_TEST_COLD=1 $(OLDEST)/bin/python $(PYTEST) -m "$(USUAL) and not torch" $(PYTEST_ARGS)

faults: $(READY) ## make every fault happen at every moment, and print the table of docs/faults.md (five to ten minutes)
	@$(BIN)/python -m pytest -v tests/faults/test_table.py $(PYTEST_ARGS)

soak: $(READY) ## train for 30 minutes while workers are killed three times a second (SOAK_ARGS="--minutes 5 --seed 2", "--readers 4")
	@$(BIN)/python -m benchmarks.soak $(SOAK_ARGS)

lint: $(READY) ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check . || { echo "to format: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/mypy

bench: $(READY) ## measure against the bare loop of system calls (BENCH_ARGS=...)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-auto: $(READY) ## measure workers="auto" against fixed numbers of workers
	@$(BIN)/python -m benchmarks auto $(BENCH_ARGS)

bench-cold: $(READY) ## measure data that come from the disk against bare loops of 1 to 32 reads at a time
	@$(BIN)/python -m benchmarks cold $(BENCH_ARGS)

bench-scale: $(READY) ## measure 16 to 128 workers whose reads wait, against the ideal
	@$(BIN)/python -m benchmarks many_workers $(BENCH_ARGS)

bench-far: $(READY) ## measure data of an object store, with latency and faults (BENCH_ARGS="ranges --rounds 3")
	@$(BIN)/python -m benchmarks.far $(BENCH_ARGS)

bench-ray: $(READY) ## measure workers on other machines, on a Ray cluster of two nodes on this one (BENCH_ARGS="sleep --rounds 1")
	@$(BIN)/python -m benchmarks.ray $(BENCH_ARGS)

bench-peers: $(PEERS)/.ready ## measure other loaders on the same work, in .venv-peers, half an hour (BENCH_ARGS="jpeg --rounds 5")
	@$(PEERS)/bin/python -m benchmarks.peers $(BENCH_ARGS)

fuzz: $(READY) ## feed damaged .npy files to the reader (FUZZ_ARGS="1000000 --seed 1")
	@$(BIN)/python -m tests.fuzz.npy_header $(FUZZ_ARGS)

docs: $(READY) ## write docs/settings.md, docs/faults.md and docs/figures.md from the code
	@PYTHONPATH=. $(BIN)/python docs/make_settings.py
	@PYTHONPATH=. $(BIN)/python docs/make_figures.py
	@PYTHONPATH=. $(BIN)/python docs/make_faults.py

pictures: $(READY) ## draw docs/pictures from real runs (some minutes, on a machine that does nothing else)
	@PYTHONPATH=. $(BIN)/python docs/make_gallery.py
	@PYTHONPATH=. $(BIN)/python docs/make_pictures.py

clean: ## remove the environments, caches and what was built
	@rm -rf $(VENV) $(LATEST) $(OLDEST) $(PEERS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints/tested.txt
	@echo "Setting up $(VENV): this happens once and takes about a minute, more on a slow line (TensorFlow is 600 MB)."
	@test -x $(BIN)/python || { echo "  creating the environment ..."; $(PYTHON) -m venv $(VENV); }
	@echo "  installing loader, TensorFlow, JAX, Keras and the development tools ..."
	@$(TESTED) $(BIN)/python $(PIP) $(PROJECT)
	@touch $@
	@echo "  done."

$(OLDEST)/.ready: pyproject.toml constraints/oldest.txt
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@echo "Installing the oldest of everything in $(OLDEST) ..."
	@$(OLDEST)/bin/python $(PIP) --constraint constraints/oldest.txt $(PROJECT)
	@touch $@

$(PEERS)/.ready: pyproject.toml benchmarks/peers/requirements.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "Installing PyTorch, TensorFlow, Grain, DALI and SPDL in $(PEERS): some gigabytes ..."
	@$(PEERS)/bin/python $(PIP) --editable '.[image]' --requirement benchmarks/peers/requirements.txt
	@touch $@

$(TORCH): $(READY)
	@echo "Installing PyTorch ..."
	@$(TESTED) $(BIN)/python $(PIP) torch
	@touch $@
