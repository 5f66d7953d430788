# Two commands do all their own set-up: `make demo` and `make test`. They need Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := runs/demo

# Debian ships Python without what venv needs; root can have it at once, others are told.
VENV_MODULE = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq python3-venv; } \
	|| { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 2; }

.DEFAULT_GOAL := help

help:          ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

demo: $(STAMP) ## train on handwritten digits, evaluate and draw sheets: minutes on a laptop's CPU
	$(BIN)/biggan train digits --out $(DEMO)
	$(BIN)/biggan evaluate $(DEMO) --num 2000
	$(BIN)/biggan sample $(DEMO) --sheet --out $(DEMO)/sheet.png
	$(BIN)/biggan sample $(DEMO) --class 2 7 --threshold 2 1 0.5 0.04 --num 12 --out $(DEMO)/truncation.png
	@echo
	@echo "Done. Look at:"
	@echo "  $(DEMO)/sheet.png        ten digits, a row each"
	@echo "  $(DEMO)/truncation.png   the truncation trick: from varied to typical"
	@echo "  $(DEMO)/report.html      how they came to be: sheets, curves, notes"
	@echo "  $(DEMO)/metrics.json     fidelity and variety in numbers"
	@echo "Next:"
	@echo "  $(BIN)/biggan sample $(DEMO) --class 3 7 --num 20 --seed 100"
	@echo "  $(BIN)/biggan train cifar10 --data FOLDER   # one sub-folder of images a class"

test: $(STAMP) ## the test suite, without what is slow or needs a GPU or a network
	$(BIN)/python -m pytest -n 2

check: $(STAMP) ## lint, types and the import contract
	$(BIN)/ruff check biggan tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)  ## the documentation as a site, in site/index.html
	$(BIN)/python -m sphinx -q -E -W --keep-going -b html -c docs . site
	@echo "open site/index.html"

bench: $(STAMP) ## the benchmarks; see benchmarks/README.md
	$(BIN)/python benchmarks/resample.py
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/biggan bench cifar10 --num-classes 10 --batch-size 32 --d-steps 1

# The wheel is tried in an environment of its own, in a folder where no source lies about.
release: $(STAMP) ## build wheel and sdist into dist, and try the wheel in an empty environment
	rm -rf dist build/release
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv build/release
	build/release/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	cd build/release && bin/biggan train digits --steps 20 --out run --device cpu && bin/biggan sample run --sheet --out sheet.png
	cd build/release && bin/biggan sample fashion --sheet
	test -s build/release/sheet.png && test -s build/release/fashion/sheet.png
	@echo "dist holds a wheel that trains and samples; tag the version of biggan/__init__.py and upload it"

# The environment is built aside and moved into place, so an interrupted install leaves none behind.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "biggan needs Python 3.11 or newer; set PYTHON=/path/to/it"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || $(VENV_MODULE)
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: help demo test check docs bench release
