# Every target does its own set-up; `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
BIN := .venv/bin
# taken literally, so that a folder may be called `a $(b)`: make would run what stands in a name
override WATCH := $(value WATCH)
override MODEL := $(value MODEL)
export WATCH MODEL

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## make .venv from requirements.lock; `make setup` again retries what was missing (the journal)
	@.ci/setup --again

.PHONY: .set-up
.set-up:
	@.ci/setup

.PHONY: jxl
jxl: ## add the JPEG XL plug-in, which is under the GPL-3 and so is not installed by itself
	@.ci/setup --jxl

.PHONY: run
run: ## watch a folder: make run WATCH=~/Pictures [MODEL=clip-vit-b-32]; Ctrl-C ends it
	@case "$$WATCH" in \
	"") echo "make run: which folder? Say for example: make run WATCH=$$HOME/Pictures" >&2; exit 2 ;; \
	"~/"*) WATCH="$$HOME/$${WATCH#??}" ;; \
	"~") WATCH="$$HOME" ;; \
	esac; \
	test -d "$$WATCH" || { echo "make run: there is no folder $$WATCH" >&2; exit 2; }; \
	.ci/setup && exec $(BIN)/deepdupe-daemon watch $${MODEL:+--model "$$MODEL"} -- "$$WATCH"

.PHONY: test
test: .set-up ## every test of the default suite, with branch coverage
	@$(BIN)/python -m pytest -n 3 --dist loadfile --cov --cov-report=term

.PHONY: lint
lint: .set-up ## ruff, ruff format, mypy strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: .set-up ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: evaluate
evaluate: .set-up ## how well pairs of ../shared/data or DEEPDUPE_TEST_DATA are judged, as a table; SCALE=full takes hours
	@$(BIN)/python -m tests.evaluation $(if $(SCALE),--scale $(SCALE))

.PHONY: bench
bench: .set-up ## the benchmarks: they print figures and assert nothing about time
	@$(BIN)/python -m pytest -m benchmark -s

.PHONY: nightly
nightly: .set-up ## the default suite and the long forms of the randomised tests
	@$(BIN)/python -m pytest -m "not benchmark and not gpu"

.PHONY: test-gpu
test-gpu: .set-up ## the tests that need CUDA
	@$(BIN)/python -m pytest -m gpu

.PHONY: man
man: .set-up ## the manual page, made from the commands: build/deepdupe-daemon.1
	@mkdir -p build && $(BIN)/deepdupe-daemon man >build/deepdupe-daemon.1
	@echo "build/deepdupe-daemon.1; read it with: man -l build/deepdupe-daemon.1"

.PHONY: lock
lock: ## resolve pyproject.toml into requirements.lock anew (needs uv); UPGRADE=1 takes newer versions
	@command -v uv >/dev/null || { echo "make lock: uv is needed to write requirements.lock" >&2; exit 1; }
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	    $(if $(UPGRADE),--upgrade) --all-extras --group dev --group build pyproject.toml --output-file requirements.lock
	@grep -c '^[a-z]' requirements.lock | sed 's/$$/ packages locked/'

.PHONY: clean
clean: ## remove .venv, caches and build outputs; state and photos are elsewhere and stay
	@rm -rf .venv build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find deepdupe_daemon tests -name __pycache__ -type d -prune -exec rm -rf {} +
