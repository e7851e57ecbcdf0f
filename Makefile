PYTHON ?= python

.PHONY: bench check format test

check:  ## What every commit must pass
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -q tests/integration/test_architecture.py \
		tests/integration/test_public_api.py

format:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

test:  ## Everything, with branch coverage; programs of XLA as users get them
	XLA_FLAGS= $(PYTHON) -m pytest -m "" --cov --cov-report=term-missing --cov-fail-under=95

bench:  ## How fast, against peers and limits; nothing else may run meanwhile
	$(PYTHON) benchmarks/speed.py
