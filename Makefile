# The front door. `make verify` on a bare Debian 12 installs what is missing, builds, and replays every recorded history.
JOBS ?= $(shell nproc)
BUILD := build

.PHONY: help bootstrap configure build verify test sanitize bench bench-diagnosis instructions lint docs clean setup-hooks fixtures

help:
	@echo "make verify     install what is missing, build, replay every history under fixtures/histories, lint its plans, write a report"
	@echo "make test       every test: unit, property, end to end, sanitizers, fuzz targets"
	@echo "make build      the programs, in build/bin"
	@echo "make bench      benchmarks of single parts, then the replayer beside the official SDKs (records histories first: minutes)"
	@echo "make bench-diagnosis  seeded defects: caught, graded, right line? (writes docs/diagnosis.md; needs half an hour)"
	@echo "make instructions  count the instructions of a replay anew (make test fails when they rise by 3 %)"
	@echo "make lint       formatting, dependency rules, and the analyzer over this tree"
	@echo "make setup-hooks  lint before each commit, replay before each push"
	@echo "make fixtures   record the histories of fixtures/histories anew (needs minutes)"

bootstrap:
	@tools/bootstrap

configure: bootstrap
	@[ -f $(BUILD)/build.ninja ] || cmake --preset default

build: configure
	@cmake --build $(BUILD) -j $(JOBS) --target lockstep

verify: build
	@$(BUILD)/bin/lockstep replay fixtures/histories
	@$(BUILD)/bin/lockstep lint fixtures/plans
	@$(BUILD)/bin/lockstep replay fixtures/histories --format json --out $(BUILD)/replay.json
	@$(BUILD)/bin/lockstep lint fixtures/plans --format json --out $(BUILD)/lint.json
	@$(BUILD)/bin/lockstep report $(BUILD)/replay.json $(BUILD)/lint.json --format html --out $(BUILD)/report.html
	@echo "report: $(CURDIR)/$(BUILD)/report.html"

test: configure
	@tools/run-tests

sanitize: bootstrap
	@[ -f $(BUILD)/sanitize/build.ninja ] || cmake --preset sanitize
	@cmake --build $(BUILD)/sanitize -j $(JOBS)
	@ctest --test-dir $(BUILD)/sanitize -j $(JOBS) --output-on-failure

bench: configure
	@cmake --build $(BUILD) -j $(JOBS) --target lockstep benchmarks replay_peer
	@tools/run-benchmarks
	@$(BUILD)/venv/bin/python -B bench/replay/run --build $(BUILD)

bench-diagnosis: build
	@$(BUILD)/venv/bin/python -B bench/diagnosis/run_diagnosis.py --build $(BUILD) --jobs $(JOBS) --docs docs/diagnosis.md

instructions: configure
	@cmake --build $(BUILD) -j $(JOBS) --target renew_instructions

lint: configure
	@$(BUILD)/venv/bin/python tools/check_dependencies.py
	@tools/check-format
	@cmake --build $(BUILD) -j $(JOBS) --target lockstep-tidy
	@$(BUILD)/bin/lockstep-tidy -p $(BUILD) --warnings-as-errors

setup-hooks:
	@hooks/install

fixtures: build
	@$(BUILD)/venv/bin/python tools/record_fixtures.py

clean:
	@rm -rf $(BUILD)
