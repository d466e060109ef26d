# Everything that a newcomer or a CI runs, by name. `make` alone lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test test-slow coverage mutation lint docs lock bench-beam bench-scores bench-cutoffs bench-train bench-fix bench-triage bench-report bench-scale soak

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 16

setup: ## both environments and the embedded model; does nothing when they are there
	@$(PYTHON) -P harness/setup/environments.py
	@$(BIN)/harness setup --model

demo: setup ## the main job on real bad cases: evaluate, fix, run again, compare
	@$(BIN)/python -m tests.benchmarks.demo

test: setup lint docs ## the whole test suite
	@$(BIN)/python -m pytest tests --ignore tests/e2e -m "not slow" -n 2
	@$(BIN)/python -m pytest tests/e2e -m "not slow"

test-slow: setup ## what takes minutes: eight training processes, DeepSpeed ZeRO-2 and ZeRO-3
	@$(BIN)/python -m pytest tests -m slow

coverage: setup ## branch coverage of harness/ and trainers/ without the real engine and trainer; needs the package coverage
	@rm -rf reports/coverage
	@$(BIN)/python -m coverage run -m pytest tests/unit tests/faults tests/integration -m "not slow" -n 2
	@HARNESS_KERNELS=interpreted $(BIN)/python -m coverage run -m pytest tests/unit/metrics tests/unit/judging
	@$(BIN)/python -m coverage combine -q reports/coverage
	@$(BIN)/python -m coverage report

mutation: setup ## would the tests notice? faults put into verdict, gate, pairs and promotion (MUTATION=--sample 60)
	@$(BIN)/python -m tests.soak.mutation $(MUTATION)

lint: setup ## ruff, mypy and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo

docs: setup ## the documentation site, in docs/_build/html
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

lock: ## update the pinned requirements
	@cd harness/setup/requirements && for name in harness-cpu harness-cuda trainer-cpu trainer-cuda; do \
	  ../../../$(BIN)/uv pip compile --quiet --upgrade --python-platform x86_64-manylinux_2_28 --python-version 3.11 \
	    $$name.in --override overrides.txt --no-emit-index-url --no-annotate \
	    $${PIP_FIND_LINKS:+$$(case $$name in *-cpu) echo --find-links $$PIP_FIND_LINKS;; esac} \
	    --custom-compile-command "make lock" --output-file $$name.txt; done

bench-beam: setup ## beam search against vLLM's and transformers' own
	@$(BIN)/python -m tests.benchmarks.beam

bench-scores: setup ## recall, false positives and speed of the scores
	@$(BIN)/python -m tests.benchmarks.scores $(if $(TEXTS),--texts $(TEXTS))

bench-cutoffs: setup ## what becomes of answers that are cut off and pass
	@$(BIN)/python -m tests.benchmarks.cutoffs

bench-train: setup ## overhead of the trainer, speed of data preparation
	@$(BIN)/python -m tests.benchmarks.train

bench-fix: setup ## what the fix cures and costs: arms x seeds, resumable (hours; BENCH_FIX=--quick)
	@$(BIN)/python -m tests.benchmarks.fix $(BENCH_FIX)

bench-triage: setup ## speed, memory and misses of the search in production logs
	@$(BIN)/python -m tests.benchmarks.triage $(BENCH_TRIAGE)

bench-report: setup ## seconds and sizes of the reports of a large run
	@$(BIN)/python -m tests.benchmarks.report

bench-scale: setup ## what the harness itself costs at 10,000 and 50,000 cases
	@$(BIN)/python -m tests.benchmarks.scale

soak: setup ## kills, writers at once, failing disks and damaged files, with counts (hours; SOAK="kills --count 50")
	@$(BIN)/python -m tests.soak $(SOAK)
