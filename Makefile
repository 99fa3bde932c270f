# Two commands set everything up from a clean clone, with nothing but Python and make:
#   make demo    the whole road on invented ratings
#   make test    linters and all tests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ROUNDS ?= 30

.DEFAULT_GOAL := help
.PHONY: help demo test check format storm bench bench-quick clean

help:
	@echo "make demo     the whole road on the embedded default, three minutes, no GPU"
	@echo "make test     linters and all tests"
	@echo "make check    the linters alone"
	@echo "make format   let ruff lay out the code"
	@echo "make bench    every benchmark beside its peer; make bench-quick in three minutes, no time judged"
	@echo "make storm    ROUNDS=$(ROUNDS) random kills of a detached training"

# The stamp files say what is installed; they are made again when a requirement changes.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip setuptools wheel
	# torch by name and pin first: whatever else asks for torch then finds it there.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/movielora demo

# Two workers, one thread each: the suite is many small processes, and threads that wait would only be in the way.
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
