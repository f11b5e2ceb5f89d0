# `make test` sets up what the tests need in folders of its own and passes them all; `make bench` measures.

NEXTEST_VERSION := 0.9.128
TOOLS := $(CURDIR)/.tools
PYTHON := $(TOOLS)/venv/bin/python
export PATH := $(TOOLS)/bin:$(PATH)

.PHONY: test rust-tests interop bench demo setup

test: rust-tests interop

rust-tests: setup
	cargo build
	cargo nextest run
	cargo test --doc

interop: setup
	$(PYTHON) tests/interop/run.py

bench:
	cargo build --release
	cargo run --release --features bench --bin claimsmith-bench

demo:
	cargo run --release -- demo

setup: $(TOOLS)/nextest $(TOOLS)/venv/installed tests/interop/node_modules/installed

$(TOOLS)/nextest:
	mkdir -p $(TOOLS)
	cargo nextest --version >/dev/null 2>&1 || \
		cargo install --locked --root $(TOOLS) --version $(NEXTEST_VERSION) cargo-nextest
	touch $@

$(TOOLS)/venv/installed: tests/interop/requirements.txt
	mkdir -p $(TOOLS)
	sh tests/interop/need.sh python3 python3-venv
	python3 -m venv $(TOOLS)/venv
	$(PYTHON) -m pip install --quiet --requirement tests/interop/requirements.txt
	touch $@

tests/interop/node_modules/installed: tests/interop/package-lock.json
	sh tests/interop/need.sh npm nodejs npm
	cd tests/interop && npm ci --silent --no-audit --no-fund
	touch $@
