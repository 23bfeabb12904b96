# Every target makes the one virtual environment if there is none, and reuses it if nothing changed.

PYTHON ?= python3
JOBS ?= 2
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/installed-from
PINNED := pyproject.toml client/pyproject.toml constraints.txt

# More than one busy thread a process makes a shared machine slower, not faster.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo serve check test test-gpu test-slow bench audit storm fuzz sweep pins clean

help: ## show this list
	@echo "Cultivar: make TARGET. The first use installs into $(VENV), some minutes; later uses start at once."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: ## make or refresh the virtual environment
	@want="$$(pwd) $$(cat $(PINNED) | cksum)"; \
	if [ -x $(PY) ] && [ "$$(cat $(STAMP) 2>/dev/null)" = "$$want" ]; then \
	  echo "==> $(VENV) is up to date"; exit 0; \
	fi; \
	case "$$(cat $(STAMP) 2>/dev/null)" in ""|"$$(pwd) "*) ;; \
	  *) echo "==> $(VENV) was made in another folder: making it anew"; rm -rf $(VENV);; esac; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Cultivar needs Python 3.11 or newer, and \`$(PYTHON)\` is $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }; \
	[ -x $(PY) ] || { echo "==> making $(VENV) with $$($(PYTHON) --version)"; \
	  $(PYTHON) -m venv $(VENV) || { \
	    echo "\`$(PYTHON) -m venv\` failed; on Debian and Ubuntu: apt install python3-venv"; \
	    rm -rf $(VENV); exit 1; }; }; \
	echo "==> installing the pinned packages into $(VENV) (once; some minutes)"; \
	$(PY) -m pip install -c constraints.txt -e '.[worker,text,dev]' -e client || exit 1; \
	echo "$$want" > $(STAMP)

demo: venv ## run the main job on real data and print how much it helps
	@echo "==> demo: service, upload, GeLDA, report"
	@$(PY) examples/demo.py $(ARGS)

serve: venv ## run the service here until Ctrl-C (ARGS='--port 9000 --workers 2')
	@$(PY) -m app serve $(ARGS)

check: venv ## linters, types, import contracts, freshness of what is generated
	@echo "==> ruff"; $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@echo "==> mypy"; $(VENV)/bin/mypy && $(VENV)/bin/mypy -p cultivar
	@echo "==> import contracts"; $(VENV)/bin/lint-imports
	@echo "==> what is generated"; $(PY) scripts/generate_client_types.py --check
	@$(PY) scripts/write_settings_page.py --check

test: check ## check, and the whole test suite (JOBS=2 processes)
	@echo "==> tests"; $(PY) -m pytest -n $(JOBS) -m "not slow" $(ARGS)

test-slow: venv ## the exhaustive tests
	@$(PY) -m pytest -m slow $(ARGS)

test-gpu: venv ## the tests that want a CUDA device
	@$(PY) -m pytest tests/gpu -rs $(ARGS)

sweep: venv ## a kill, a full disk, an I/O error at every call of the publish path
	@$(PY) -m pytest tests/sweep tests/workers/test_swept_outcomes.py tests/workers/test_full_disk.py -s $(ARGS)

bench: venv ## list the benchmarks, or run one (NAME=longtail ARGS='--quick')
ifdef NAME
	@$(PY) -m benchmarks.$(NAME) $(ARGS)
else
	@echo "make bench NAME=… ARGS='--quick'; what each measures, costs and should show: ARGS=--help"
	@for file in $$(grep -l '^if __name__' benchmarks/*.py); do \
	  printf '  %-12s %s\n' "$$(basename $$file .py)" "$$(sed -n '1s/"""//gp' $$file)"; done
endif

audit: venv ## bills of materials (var/sbom), licences, known vulnerabilities of every pin (needs PyPI)
	@$(PY) scripts/audit.py $(ARGS)

storm: venv ## faults at random over thousands of jobs, on SQLite and PostgreSQL; six mutants (1.5 h)
	@status=0; for storm in "--database sqlite" "--database postgresql" "--mutants"; do \
	  $(PY) -m benchmarks.storm $$storm --table docs/promises-storm.md $(ARGS) || status=1; \
	done; exit $$status  # a promise that one storm breaks keeps none of the others from being tried

fuzz: venv ## attack the API and every decoder, hours (ARGS='--cases 2000 --mutants 2000')
	@$(PY) -m tests.fuzz $(ARGS)

pins: venv ## write constraints.txt from the environment that passed
	@{ sed -n '/^#/p' constraints.txt; \
	  $(PY) -m pip list --format freeze \
	    | grep -viE '^(cultivar|cultivar-server|pip|nvidia-.*|cuda-.*|triton)==' \
	    | sed 's/+[A-Za-z0-9.]*$$//'; } > constraints.new && mv constraints.new constraints.txt
	@echo "==> constraints.txt is as $(VENV)"

clean: ## remove the virtual environment, caches and var/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache var
