# Two commands set everything up from a clean clone, with nothing but Python and make:
#   make demo    every step on synthetic ratings
#   make test    linters and all tests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ROUNDS ?= 30

.DEFAULT_GOAL := help
.PHONY: help demo test check format storm bench bench-quick clean

help:
	@echo "make demo         every step on synthetic ratings: three minutes, no GPU, no download"
	@echo "make test         linters and all tests"
	@echo "make check        only the linters"
	@echo "make format       format the code with ruff"
	@echo "make bench        every benchmark, each compared with its peer"
	@echo "make bench-quick  the same on less work, three minutes: results compared, times not judged"
	@echo "make storm        ROUNDS=$(ROUNDS) random kills of a background training"
	@echo "make clean        remove .venv and the caches"

# The stamp files record what is installed; they are remade when a requirement changes.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip setuptools wheel
	# torch first, by name and pin: what depends on torch then finds it installed.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/movielora demo

# Two workers, one thread each: the suite is many small processes, and more threads would compete for the cores.
test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

storm: $(VENV)/.installed-test
	MOVIELORA_STORM_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest tests/storm

bench: $(VENV)/.installed-test
	$(BIN)/python bench/run_all.py

bench-quick: $(VENV)/.installed-test
	$(BIN)/python bench/run_all.py --quick

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache
