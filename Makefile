# `make demo` and `make test` need Python 3.10+ and a network; everything goes into $(VENV), and nothing else is left here.
# What is tested is the installed package, as users get it. Nothing here runs `python -m` in this folder after the
# install, because that would put the checkout's eslcodec/, which has no compiled core, before the installed one.
# Whatever is said of a target behind ## is its line in `make help`.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

BIN := $(VENV)/bin
CACHE := $(abspath $(VENV))/cache
RUN := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CACHE)/python HYPOTHESIS_STORAGE_DIRECTORY=$(CACHE)/hypothesis \
       PYTEST_XDIST_AUTO_NUM_WORKERS=$$($(BIN)/python -I -c 'import os; print(2 * (os.cpu_count() or 1))')
CACHED := -o cache_dir=$(CACHE)/pytest
# Two workers for each CPU, since many tests wait; one that has nothing left to do takes tests from another.
PYTEST := $(BIN)/pytest -q -n auto --dist worksteal
PIP := $(BIN)/python -I tools/install.py --disable-pip-version-check --quiet
# Folders are listed too: their time changes when a file in them is deleted.
SOURCES := pyproject.toml setup.py $(shell find eslcodec src -not -name '*.py[co]' -not -name '*.so' -not -name __pycache__)

.PHONY: demo demo-bridge test test-all lint style types docs coverage measure bench bench-peers dist clean help preflight

demo: $(VENV)/.cli  ## play a captured FreeSWITCH event stream over loopback, and decode it
	$(BIN)/eslcodec demo $(ARGS)

demo-bridge: $(VENV)/.test  ## events through a recording into NATS JetStream; bridge and server are killed; nothing is lost
	$(BIN)/python -I tools/demo_bridge.py $(ARGS)

# The second run leaves out what is the same for both cores: tests/conftest.py says what that is.
test: $(VENV)/.test  ## the suite on the compiled core, if there is one, and on the Python core; heavy tests at a fifth
	@if [ "$$($(BIN)/python -I -c 'import eslcodec; print(eslcodec.__impl__)')" = c ]; then \
		echo 'ESLCODEC_IMPL=c $(PYTEST) $(ARGS)'; $(RUN) ESLCODEC_IMPL=c $(PYTEST) $(CACHED) $(ARGS) && \
		echo 'ESLCODEC_IMPL=python ESLCODEC_TEST_SECOND=1 $(PYTEST) $(ARGS)' && \
		$(RUN) ESLCODEC_IMPL=python ESLCODEC_TEST_SECOND=1 $(PYTEST) $(CACHED) $(ARGS); \
	else \
		echo 'ESLCODEC_IMPL=python $(PYTEST) $(ARGS)'; $(RUN) ESLCODEC_IMPL=python $(PYTEST) $(CACHED) $(ARGS); fi

test-all: export ESLCODEC_TEST_FULL = 1
test-all: test  ## the same with heavy tests at their whole size

lint: style types  ## both of the next

style: export RUFF_CACHE_DIR = $(CACHE)/ruff
style: $(VENV)/.lint  ## style, and whether what is generated is current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/async_to_sync.py --check

types: export MYPY_CACHE_DIR = $(CACHE)/mypy
types: $(VENV)/.lint  ## types
	$(BIN)/mypy --strict

docs: $(VENV)/.docs  ## guides, protocol and a page for each public module as a site in $(VENV)/docs; what is wrong is an error
	$(BIN)/python tools/docs.py $(VENV)/docs

coverage:  ## branches of eslcodec/ over both cores, and lines of the .pyx (a slow build, in an environment of its own)
	ESLCODEC_BUILD_EXTENSION=yes ESLCODEC_BUILD_MODE=coverage $(MAKE) VENV=$(VENV)-coverage measure

measure: $(VENV)/.test
	@$(PIP) install Cython
	sed 's/^branch = true/&\nplugins = ["Cython.Coverage"]/' pyproject.toml >$(VENV)/coverage.toml
	@cp $(VENV)/source/src/*.c src/  # where Cython.Coverage looks for it
	@trap 'rm -f src/*.c' EXIT; export COVERAGE_RCFILE=$(VENV)/coverage.toml COVERAGE_FILE=$(CACHE)/coverage; \
	mkdir -p $(CACHE); for core in c python; do \
		$(RUN) ESLCODEC_TEST_FULL=1 ESLCODEC_IMPL=$$core $(BIN)/coverage run --parallel-mode \
			$(BIN)/pytest -q $(CACHED) --timeout=0 $(ARGS) || exit; done; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report

bench: $(VENV)/.test $(VENV)/.bench  ## what our own calls cost, on both cores (bench/README.md)
	$(RUN) $(BIN)/pytest $(CACHED) bench $(ARGS)

bench-peers: $(VENV)/.bench  ## ours beside other clients and the machine's limits: table, chart and marks in bench/results/
	$(RUN) $(BIN)/python bench/peers.py --wheel $(VENV)/wheel/*.whl --envs $(VENV)-peers $(ARGS)

dist: $(VENV)/.dist  ## sdist, a wheel for this platform and a pure one, both built from the sdist
	rm -rf build dist *.egg-info
	$(BIN)/pyproject-build --sdist
	ESLCODEC_BUILD_EXTENSION=yes $(PIP) wheel --no-deps --wheel-dir dist dist/*.tar.gz
	ESLCODEC_BUILD_EXTENSION=no $(PIP) wheel --no-deps --wheel-dir dist dist/*.tar.gz
	rm -rf *.egg-info
	$(BIN)/python tools/check_dist.py dist

clean:  ## remove all that was made here
	rm -rf $(VENV) $(VENV)-coverage $(VENV)-peers build dist *.egg-info .coverage* .benchmarks .hypothesis .*_cache src/_codec_c.c src/_columns_c.c
	find . -name __pycache__ -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { gsub(/\$$\(VENV\)/, "$(VENV)"); printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'PYTHON=$(PYTHON)  the interpreter; VENV=$(VENV)  where everything goes; ARGS=...  for the program that is run'

preflight:
	@command -v $(PYTHON) >/dev/null || { \
		echo 'There is no $(PYTHON): install Python 3.10 or newer, or name one with `make PYTHON=...`.' >&2; exit 1; }
	@$(PYTHON) tools/preflight.py $(VENV)

$(VENV)/.made: | preflight
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# Compiled once for all extras, in a copy: setuptools leaves build/ and egg-info behind, and ships what it finds in them.
$(VENV)/.wheel: $(VENV)/.made $(SOURCES)
	@echo 'building eslcodec and installing it into $(VENV)'
	@rm -rf $(VENV)/wheel $(VENV)/source
	@mkdir $(VENV)/source
	@cp -R LICENSE README.md pyproject.toml setup.py eslcodec src $(VENV)/source
	@$(PIP) wheel --no-deps --wheel-dir $(VENV)/wheel $(abspath $(VENV))/source
	@$(PIP) install --no-deps --force-reinstall $(VENV)/wheel/*.whl
	@touch $@

# An older wheel of a tool is better than a newer source that wants a Rust compiler.
$(VENV)/.cli $(VENV)/.test $(VENV)/.lint $(VENV)/.docs $(VENV)/.bench: $(VENV)/.%: $(VENV)/.wheel
	@$(PIP) install --prefer-binary "$$(echo $(VENV)/wheel/*.whl)[$*]"
	@touch $@

$(VENV)/.dist: $(VENV)/.made
	@$(PIP) install 'build>=1'
	@touch $@
