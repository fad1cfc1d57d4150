# Quorum: `make demo` and `make test` need nothing but Python 3.11+ and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv

# Where `make lock` finds a CPU build of torch.
WHEELS := $(firstword $(PIP_FIND_LINKS))
TORCH_VERSION := $(shell sed -n 's/.*"torch==\([0-9.]*\)".*/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types contracts package check simulate faults mutants benchmarks lock clean

help:  ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

$(VENV)/installed: requirements.lock requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	bash .ci/install-torch $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements-dev.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --compile-bytecode --editable .
	touch $@

setup: $(VENV)/installed  ## Set everything up, into .venv.

demo: setup  ## Run the whole loop on the packaged sample, and write its report.
	$(BIN)/quorum demo

test: setup  ## Run the tests.
	$(BIN)/python -m pytest $(PYTEST_ARGUMENTS)

lint: setup  ## Lint, and check the format.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## Check the types.
	$(BIN)/pyright

contracts: setup  ## Check which room imports which.
	$(BIN)/lint-imports

package: setup  ## Build a wheel and try it in a clean environment.
	UV=$(abspath $(UV)) bash .ci/check-package

check: test lint types contracts package  ## Everything that CI checks.

SEEDS ?= 20000
simulate: setup  ## Run SEEDS seeds of the simulation (20,000).
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

KILLS ?= 200
SEED  ?= 1
# One by one: of a folder, pytest takes only the files whose names begin with test_.
FAULTS := test_kills.py test_servers.py full_disk.py agents.py rabbitmq.py
faults: setup  ## Kill and starve every process and server for real, KILLS times (200).
	FAULTS_KILLS=$(KILLS) FAULTS_SEED=$(SEED) $(BIN)/python -m pytest $(addprefix tests/faults/,$(FAULTS))

mutants: setup  ## Plant every known bug, and see that a test catches it.
	$(BIN)/python -m tests.mutants

benchmarks: setup  ## Measure, and write the tables in docs/benchmarks.md.
	$(BIN)/python -m benchmarks

lock:  ## Resolve the dependencies again and write the lock files.
	echo 'torch==$(TORCH_VERSION)+cpu' > .torch-constraint
	$(UV) pip compile --quiet --universal --python-version 3.11 --find-links $(WHEELS) --constraint .torch-constraint \
	  --no-emit-package torch --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  pyproject.toml --output-file requirements.lock
	$(UV) pip compile --quiet --universal --python-version 3.11 --constraint requirements.lock \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --group dev --output-file requirements-dev.lock
	$(UV) pip compile --quiet --python-version 3.11 --find-links $(WHEELS) --constraint requirements.lock --constraint .torch-constraint \
	  --no-emit-package torch --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  deploy/bento/requirements.in --output-file deploy/bento/requirements.lock
	echo 'torch==$(TORCH_VERSION)' >> deploy/bento/requirements.lock
	rm -f .torch-constraint

clean:  ## Remove the virtual environment and what tools left behind.
	rm -rf $(VENV) dist .pytest_cache .hypothesis .ruff_cache .import_linter_cache
