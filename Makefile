# Doudi 兜底. `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.
REGION ?= kentucky
EPSILON ?= 1
MODE ?= both
LINE_EPSILON ?= 3
VENV := .venv/bin
READY := .venv/ready

.PHONY: help setup demo grid test faults check bench format clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(READY): pyproject.toml setup.sh
	./setup.sh

setup: $(READY) ## make .venv

demo: $(READY) ## one region, six departments, one run, one report (REGION=kentucky EPSILON=1 MODE=both|evidence|sum-only)
	$(VENV)/python -m demo --region $(REGION) --epsilon $(EPSILON) --mode $(MODE)

grid: $(READY) ## three regions x three departments: main job, one line per department, main job again (LINE_EPSILON=3)
	$(VENV)/python -m demo.grid --epsilon $(LINE_EPSILON)

test: $(READY) ## everything that needs no container engine
	$(VENV)/python -m pytest -n 2 --dist loadfile -m "not faults"

faults: $(READY) ## the full matrix of killed processes
	$(VENV)/python -m pytest -m faults

check: $(READY) ## style, types, directions of import
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports

bench: $(READY) ## the figures of the README, as JSON under bench-out (DATA_DIR=folder of the public files for all states)
	$(VENV)/python -m benchmarks

format: $(READY) ## rewrite the layout of the code
	$(VENV)/ruff check --fix-only .
	$(VENV)/ruff format .

clean: ## remove what the demo, the tests and the benchmarks made
	rm -rf demo-run grid-run demo-out bench-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
