# Everything runs inside .venv, built from constraints.txt; nothing else on the machine is touched.
# Needs make and Python 3.11 or newer. Choose an interpreter with `make PYTHON=/path/to/python ...`.

VENV := .venv
BIN := $(VENV)/bin
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

.PHONY: help verify test check figures bench clean
.DELETE_ON_ERROR:
# Compiled modules are kept: without them every process compiles some 1,200 files again, 7 seconds.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make verify   install, then check the published claims on synthetic data and digits"
	@echo "make test     run the tests"
	@echo "make check    formatting, lint, types, import floors"
	@echo "make figures  draw every figure from the saved results"
	@echo "make bench    measure against what a user would pick instead"
	@echo "make clean    remove $(VENV) and caches"

verify: $(VENV)/installed
	@$(BIN)/svmconv verify

test: $(VENV)/installed-test
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile

check: $(VENV)/installed-check
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

figures: $(VENV)/installed
	@$(BIN)/python -m figures

bench: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks

clean:
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist

$(VENV)/pyvenv.cfg:
	@for python in $(CANDIDATES); do \
	    if "$$python" -c "$(NEW_ENOUGH)" 2>/dev/null; then \
	        echo "creating $(VENV) with $$("$$python" --version)"; \
	        "$$python" -m venv $(VENV) && exit 0; \
	        rm -rf $(VENV); exit 1; \
	    fi; \
	done; \
	echo "svmconv needs Python 3.11 or newer, and none of these is: $(CANDIDATES);" \
	    "install one, or name it: make PYTHON=/path/to/python ..." >&2; \
	exit 1

# $(call install,REQUIREMENT): a stamp keeps make from installing the same thing twice. --no-compile
# halves the time; Python compiles the modules that are used when they are first imported.
define install
	@echo "installing $(1) into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile -c constraints.txt -e '$(1)'
	@touch $@
endef

INPUTS := $(VENV)/pyvenv.cfg pyproject.toml constraints.txt

$(VENV)/installed: $(INPUTS)
	$(call install,.)

$(VENV)/installed-%: $(INPUTS)
	$(call install,.[$*])
