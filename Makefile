# Everything one does daily. `make demo` and `make test` need only Python 3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.PHONY: demo test check format bench docs lock clean system-packages

demo: .venv/ready            ## run the tutorial: a directory is provisioned into an application
	$(BIN)/joiner tutorial

test: .venv/ready system-packages   ## every test
	$(BIN)/pytest -n $(WORKERS)

check: .venv/ready           ## style, types, layers, lock file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready           ## objects/s and CPU ms per object of both sides
	$(BIN)/python -m benchmarks

lock: .venv/ready            ## pin newer versions of everything
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-header --upgrade pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

system-packages:
	@$(PYTHON) tests/install_system_packages.py

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
