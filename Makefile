# Two commands matter: `make demo` and `make test`. Everything they need they set up themselves.

# the first Python >= 3.11 that runs (a name on the PATH alone proves nothing: pyenv puts shims there)
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
VENV ?= .venv
DEMO_VENV ?= .venv-demo
PIP = -m pip --disable-pip-version-check
BIN = $(VENV)/bin
# test processes side by side; a file stays in one of them. The chaos suite comes first, and waits more than it computes
JOBS ?= 2

.PHONY: help demo setup test test-all chaos lint format lock image-check clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(DEMO_VENV)/.ready  ## Talk with an agent through Teams' protocol, in the browser (ARGS="--no-open …")
	@$(DEMO_VENV)/bin/python -m bridge demo $(ARGS)

$(DEMO_VENV)/.ready: requirements/run.txt | python
	@echo "  making the environment in $(DEMO_VENV) (about half a minute, once) …"
	@$(PYTHON) -m venv $(DEMO_VENV)
	@$(DEMO_VENV)/bin/python $(PIP) install --quiet --progress-bar on --require-hashes -r requirements/run.txt
	@touch $@

setup: $(VENV)/.ready  ## Set up the development environment in .venv

$(VENV)/.ready: requirements/dev.txt pyproject.toml | python
	@echo "  making the environment in $(VENV) (about a minute, once) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP) install --quiet --require-hashes -r requirements/dev.txt
	@$(BIN)/python $(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: python
python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: https://www.python.org/downloads/" >&2; exit 1; }

test: setup lint  ## Set up, check and run the whole suite
	@sh tests/e2e/find_chromium.sh
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: | python  ## Run the suite on every Python of 3.11, 3.12 and 3.13 that this machine has
	@ran=0; for v in 3.11 3.12 3.13; do \
	  for p in "python$$v" $$HOME/.pyenv/versions/$$v.*/bin/python; do \
	    "$$p" -c '' >/dev/null 2>&1 || continue; \
	    echo "== Python $$v"; \
	    $(MAKE) --no-print-directory test PYTHON="$$p" VENV=".venv-$$v" || exit 1; \
	    ran=$$((ran + 1)); break; \
	  done; \
	done; echo "== the suite passed on $$ran Python versions"; test $$ran -gt 0

chaos: setup  ## The long form of the chaos suite: over 10,000 turns, over 100 kills (about a quarter of an hour; ARGS="--seed 7")
	@PYTHONPATH=tests $(BIN)/python -m chaos.long $(ARGS)

lint: setup  ## Style, types, layers, unused code and dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .
	@$(BIN)/vulture

format: setup  ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: setup  ## Pin all dependencies again, with hashes (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  -q pyproject.toml -o requirements/run.txt
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  -q pyproject.toml --extra postgres -c requirements/run.txt -o requirements/run-postgres.txt
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  -q requirements/build.in -o requirements/build.txt
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  -q pyproject.toml requirements/build.in --extra postgres --group dev -c requirements/run.txt \
	  -o requirements/dev.txt

image-check:  ## Build the container image without a registry and try it (root, buildah, mmdebstrap; minutes)
	@PYTHON="$(PYTHON)" sh tests/image/check_image.sh $(SUITE)

clean:  ## Remove environments and caches (the demo's state in .demo stays)
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
