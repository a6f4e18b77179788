# What a newcomer types: `make demo`, `make test`. Everything else is for developers.

SHELL := /bin/bash
SWIFT := swift
export STRONGROOM_WARNINGS_ARE_ERRORS ?= $(if $(CI),1,)
export STRONGROOM_OPTIMISE_SCANNER ?= 1

.PHONY: setup build demo test reliability consumer check format bench fuzz clean

setup: ## install what is missing
	@.ci/setup

build: setup
	$(SWIFT) build --build-tests

demo: setup ## the main job on a real database, told step by step
	$(SWIFT) build --product strongroom
	$(SWIFT) build --product rehearsal
	@.ci/demo "$$($(SWIFT) build --show-bin-path)"

test: setup ## everything that must hold
	$(SWIFT) build --build-tests
	@.ci/test
	@$(MAKE) --no-print-directory consumer

reliability: setup ## the groups of tests of which every one must pass; `test` judges them too
	$(SWIFT) build --build-tests
	@.ci/test --filter "$$(.ci/reliability filter)"

consumer: ## a package that depends on ours, in debug and release; and plain SQLite being refused
	@.ci/consumer

check: setup ## before a commit: format, build, tests
	$(SWIFT) format lint --strict --recursive --parallel Package.swift KeyPolicies Sources Tests
	@$(MAKE) --no-print-directory test

format:
	$(SWIFT) format --in-place --recursive --parallel Package.swift KeyPolicies Sources Tests

bench: setup ## ratios, both sides in one run
	$(SWIFT) build -c release --product StrongroomBench
	@"$$($(SWIFT) build -c release --show-bin-path)/StrongroomBench" $(BENCH)

fuzz: setup ## libFuzzer on every parser, SECONDS_EACH=60
	@.ci/fuzz $(or $(SECONDS_EACH),60)

clean:
	rm -rf .build .build-fuzz Tests/ConsumerPackage/.build
