# Two commands are enough on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
export HF_HUB_OFFLINE = 1
# two test processes on two cores: a library that starts two threads in each only makes them wait for each other
test test-slow: export OMP_NUM_THREADS = 1

.PHONY: install demo demo-full test test-slow test-all lint format schemas picture clean

install: $(STAMP)

# torch comes first and alone, so that its pinned version decides; the stamp is younger than what it was made from.
$(STAMP): pyproject.toml envs/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("mmclip needs Python 3.11 or newer, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint envs/constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --constraint envs/constraints.txt --editable '.[test]'
	touch $@

demo: $(STAMP)
	@MMCLIP_CUDA=0 $(BIN)/mmclip run --configfile config/config.yaml
	@$(BIN)/mmclip summary results/demo --configfile config/config.yaml

demo-full: $(STAMP)
	@$(BIN)/mmclip run --configfile config/full.yaml
	@$(BIN)/mmclip summary results/full --configfile config/full.yaml

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow and not long and not gpu" -n 2 --dist loadfile

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m "slow and not long and not gpu" -n 2 --dist loadfile

test-all: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

# The JSON schemas that the workflow checks configs with, and the page of all settings, come from the pydantic models.
schemas: $(STAMP)
	$(BIN)/python -m mmclip.config.schema workflow/schemas
	$(BIN)/python -m mmclip.config.reference docs/settings.md

# The README's picture: the first screen of the report of `make demo-full`.
picture:
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --disable-background-networking \
	  --window-size=1280,1010 --screenshot=docs/images/report.png file://$(CURDIR)/results/full/report/report.html

clean:
	rm -rf $(VENV) .build results .snakemake
