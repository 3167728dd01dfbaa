# Burrow: what a developer types. Each target says what is missing on the machine and how to get it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The workspace that `make run` opens.
DIR ?= $(CURDIR)/tests/fixtures/hello-api
# How long `make fuzz` gives each target.
FUZZ_SECONDS ?= 60

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.PHONY: build
build: ## The static release binary: dist/burrow
	@tests/require rust cc
	cargo build --release --locked -p burrow
	built=$$(cargo metadata --format-version 1 --no-deps --locked | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
	built=$$built/$$(rustc -vV | sed -n 's/^host: //p')/release/burrow
	mkdir -p dist
	# The same bytes keep their file; others come by rename, since the old one may be running.
	if ! cmp -s "$$built" dist/burrow; then
	    install -m 755 "$$built" dist/burrow.new
	    mv dist/burrow.new dist/burrow
	fi
	echo "dist/burrow: $$(stat -c %s dist/burrow) bytes"

.PHONY: feature
feature: ## The Dev Container Features, for this processor: dist/features
	@$(MAKE) build
	$(MAKE) vsix
	.devcontainer/features/package dist/features dist/burrow "$$(ls -t dist/*.vsix | head -n 1)"

.PHONY: run
run: ## Opens tests/fixtures/hello-api (or DIR=...) and debugs it
	@tests/require rust cc go
	$(MAKE) build
	export BURROW_STATE_DIR="$(CURDIR)/target/run/state" BURROW_STORE_DIR="$(CURDIR)/target/run/store"
	burrow="$(CURDIR)/dist/burrow"
	cd "$(DIR)"
	step() {
	    local started=$$(date +%s%N) status=0
	    printf '\n$$ burrow %s\n' "$$*"
	    "$$burrow" "$$@" || status=$$?
	    printf '[%s: %d ms, exit code %d]\n' "$$1" $$((($$(date +%s%N) - started) / 1000000)) $$status
	    return $$status
	}
	result=0
	step up || result=$$?
	if [ "$(DIR)" = "$(CURDIR)/tests/fixtures/hello-api" ]; then
	    line=$$(grep -n 'w.Header().Set' main.go | head -n 1 | cut -d : -f 1)
	    step debug try --request 'GET /greet?name=Ann' "main.go:$$line" || result=$$?
	else
	    step debug try || result=$$?
	fi
	printf '\nThe daemon goes on. Its state lies in target/run; to stop it:\n  BURROW_STATE_DIR=%s %s stop\n' "$$BURROW_STATE_DIR" "$$burrow"
	exit $$result

.PHONY: test
test: ## The gate: everything a change must pass
	@tests/gate

.PHONY: test-all
test-all: ## The gate, and what is slow
	@tests/gate all

# What `make bench` measures; all where it is empty.
ROWS ?=

.PHONY: bench
bench: ## Medians and ratios of what is measured (ROWS=...: some of it)
	@tests/require rust cc go
	$(MAKE) build
	BURROW_BIN=$(CURDIR)/dist/burrow cargo bench -q --locked --profile dev -p burrow --bench burrow -- $(ROWS)
	tests/vscode/bench

.PHONY: fuzz
fuzz: ## Fuzzes every parser of untrusted text, each for FUZZ_SECONDS (60)
	@tests/require rust cc nightly fuzz
	# What is found lands in fuzz/artifacts; grown inputs stay out of the corpora that are checked in.
	for name in $$(ls fuzz/corpus); do
	    mkdir -p "target/fuzz/$$name"
	    printf '\n== %s\n' "$$name"
	    cargo +nightly fuzz run "$$name" "target/fuzz/$$name" "fuzz/corpus/$$name" -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1
	done

.PHONY: generate
generate: ## Writes what is generated from protocol/
	@tests/require rust
	cargo run -q -p burrow-protocol --features generate --bin generate

.PHONY: vsix
vsix: ## The VS Code extension: dist/*.vsix
	@tests/require node
	npm --prefix vscode-extension ci --no-audit --no-fund --loglevel=error
	npm --prefix vscode-extension run package
