# Everything one does daily. `make demo` and `make test` need only Python 3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
SEEDS ?= 1000

.PHONY: demo test simulate check format docs bench lock clean system-packages help

demo: .venv/ready            ## run the tutorial: a directory is provisioned into an application
	$(BIN)/joiner tutorial

test: .venv/ready system-packages   ## every test
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadgroup

simulate: .venv/ready        ## SEEDS simulated worlds of faults, beside those of `test`
	$(BIN)/python -m tests.simulation --first 1000 --seeds $(SEEDS) --jobs $(WORKERS)

check: .venv/ready           ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready          ## put the code into the style that `check` wants
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready            ## write the pages that are made from the sources
	$(BIN)/python -m tests.requirements
	$(BIN)/python -m tests.functions_page

bench: .venv/ready           ## a short look at the speed of both sides
	$(BIN)/python -m benchmarks endpoint --peers "" --sizes 1000 --connections 8 --rounds 1 --seconds 0.5
	$(BIN)/python -m benchmarks cycles --users 1000
	$(BIN)/python -m benchmarks expressions

lock: .venv/ready            ## pin newer versions of everything
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-header --upgrade pyproject.toml --output-file requirements.lock

clean:                       ## remove everything that was made here
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

help:                        ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
		printf '%-8s %s\n' "$$name" "$$what"; done

system-packages:
	@$(PYTHON) tests/install_system_packages.py

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Joiner needs Python 3.11 or later: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
