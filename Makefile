# Everything is installed into .venv, from the pins. `make help` lists what there is.

PYTHON ?= python3
ARGS ?=
# Playwright's own Node.js needs libatomic1.
SYSTEM_PACKAGES ?= espeak-ng:espeak-ng chromium:chromium :libatomic1

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --quiet --disable-pip-version-check
# A third of the tests' time is waiting, for processes and for real time: three of them keep two
# cores busy, and one core as well.
# The tests of whole processes take longest and come first, as they stand, so that none is left last.
PYTEST := $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
# Where it is set, each of the hundreds of processes that the tests start would compile all anew.
unexport PYTHONDONTWRITEBYTECODE

# What agora-realtime-ai-api asks for.
AGORA_SDK := agora-python-server-sdk==2.1.7

# Stamps: touched last, so that a .venv that was cut short is made again.
RUN := $(VENV)/.run-installed
DEV := $(VENV)/.dev-installed

.PHONY: help run test lint bench prove pins clean system-packages

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1: \2/p' Makefile
	@echo 'With ARGS=... for more arguments, PYTHON=... for another interpreter.'

run: $(RUN)  ## run the server with its web page and the embedded model
	@command -v espeak-ng >/dev/null || \
	  echo 'espeak-ng is not installed: the demo runs, but its voice gets better with it.'
	$(BIN)/python -m server $(ARGS)

test: system-packages $(DEV)  ## run the tests
	$(PYTEST) $(ARGS)

lint: $(DEV)  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: system-packages $(DEV)  ## measure speed
	$(BIN)/python -m bench $(ARGS)

prove: system-packages $(DEV)  ## run the tests with many more examples
	HYPOTHESIS_PROFILE=prove $(PYTEST) $(ARGS)

# uv resolves for every Python and system at once (pip-tools only for the one it runs on), to one
# version each, so that what is tested is what runs everywhere.
pins:  ## pin the newest versions of all dependencies
	$(PYTHON) -m venv --clear .venv-pins
	.venv-pins/bin/python -m pip --quiet install uv
	$(UV_COMPILE) --extra embedded --extra g711 --extra vad --extra webhook --output-file requirements.txt
	$(UV_COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt

UV_COMPILE = .venv-pins/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
  --fork-strategy fewest --no-annotate --custom-compile-command 'make pins' \
  pyproject.toml --group build

clean:  ## delete all that was made here
	rm -rf .venv .venv-pins build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

system-packages:
	@tools/system-packages $(SYSTEM_PACKAGES)

# Debian keeps a part of venv (ensurepip) in a package of its own.
$(RUN): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo 'Python 3.11 or newer is needed: name one with PYTHON=...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tools/system-packages \
	  $$($(PYTHON) -c 'import sys; print(":python%d.%d-venv" % sys.version_info[:2])')
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --requirement requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Agora's wrapper is without its SDK, which no installer would leave so: it has a folder of its own.
# The SDK is only read as text: its setup.py runs for the metadata, and nothing is built.
$(DEV): $(RUN) requirements-agora.txt
	$(PIP) install --requirement requirements-dev.txt
	rm -rf $(VENV)/agora $(VENV)/agora-source
	$(PIP) install --no-deps --target $(VENV)/agora --requirement requirements-agora.txt
	$(PIP) download --no-deps --no-build-isolation --no-binary :all: --dest $(VENV)/agora-source \
	  $(AGORA_SDK)
	@touch $@
