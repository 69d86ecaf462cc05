# `make help` lists what there is. Everything that is installed or made goes to .local/; removing that folder is a full reset.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# What functions and layers are built for. They must agree with the template's parameters Architecture and TrainingRuntime.
export ARCHITECTURE ?= x86_64
export TRAINING_PYTHON ?= 3.12

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: demo
demo: ## the whole story on the local AWS: train, register, serve and capture real flights
	@scripts/demo

.PHONY: up
up: ## start the local AWS, build, deploy the template, print the endpoint
	@scripts/up

.PHONY: down
down: ## stop what up started
	@scripts/down

.PHONY: build
build: ## build functions and layers for an account (then: sam deploy --guided)
	@scripts/install-tools aws zig
	@SAM_CLI_TELEMETRY=0 .local/venv-aws/bin/sam build --parameter-overrides Architecture=$(ARCHITECTURE) TrainingRuntime=python$(TRAINING_PYTHON)

.PHONY: layer
layer: ## build both layers into .local/layers
	@scripts/build-onnxruntime-layer --platform $(ARCHITECTURE) .local/layers/onnxruntime
	@scripts/build-training-layer --python $(TRAINING_PYTHON) --platform $(ARCHITECTURE) .local/layers/training

.PHONY: test
test: ## everything that continuous integration runs
	@scripts/test

.PHONY: check
check: ## format, vet, staticcheck, tidiness, import rules, unit tests with the race detector, template lint
	@scripts/check

.PHONY: bench
bench: ## figures beside yardsticks taken in the same run
	@scripts/bench

.PHONY: bench-peers
bench-peers: ## other prediction servers and drift libraries on the same work; installs them
	@scripts/bench-peers

.PHONY: soak-predict
soak-predict: ## memory of predict over a million requests and a hundred model swaps
	@scripts/soak-predict

.PHONY: simulate
simulate: ## the simulations of comparison with all their runs; the check does a third
	@TIDEGATE_SIMULATE=full go test -count=1 -v -timeout 30m -run Simul ./shared/evaluation/comparison

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZTIME (default 10s) each
	@scripts/fuzz

# ---- called by `sam build` (BuildMethod: makefile), with ARTIFACTS_DIR set

build-OnnxruntimeLayer:
	@scripts/build-onnxruntime-layer --platform $(ARCHITECTURE) "$(ARTIFACTS_DIR)"

build-TrainingLayer:
	@scripts/build-training-layer --python $(TRAINING_PYTHON) --platform $(ARCHITECTURE) "$(ARTIFACTS_DIR)"

build-%Function:
	@scripts/build-function $(shell tr '[:upper:]' '[:lower:]' <<<'$*') "$(ARTIFACTS_DIR)"
