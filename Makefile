# `make test` sets up what the tests need in folders of its own and passes them all; `make bench` measures,
# `make soak` shows that it lasts, `make fuzz` looks for what no test thought of.

NEXTEST_VERSION := 0.9.128
CARGO_FUZZ_VERSION := 0.13.2
FUZZ_SECONDS := 60
SOAK_MINUTES := 20
FUZZ_TARGETS := go_compile handlebars_compile jwk_set render_session
TOOLS := $(CURDIR)/.tools
PYTHON := $(TOOLS)/venv/bin/python
export PATH := $(TOOLS)/bin:$(PATH)

.PHONY: test rust-tests interop bench bench-build bench-quick micro soak instructions fuzz demo setup

test: rust-tests interop

rust-tests: setup
	cargo build
	cargo nextest run
	cargo test --doc

interop: setup
	$(PYTHON) tests/interop/run.py
	$(PYTHON) tests/interop/keys.py
	$(PYTHON) tests/interop/s3.py
	$(PYTHON) tests/interop/reload.py

# The tables of docs/performance.md, some minutes; the same in half a minute, to see that the benchmark itself works.
bench: bench-build
	target/release/claimsmith-bench

bench-quick: bench-build
	target/release/claimsmith-bench --quick

soak: bench-build
	target/release/claimsmith-bench soak --minutes $(SOAK_MINUTES)

# Fails where a hot path takes 5 % more instructions than tests/bench/instructions.json says.
instructions: bench-build
	sh tests/bench/instructions.sh

micro:
	cargo bench --features bench --bench micro

bench-build:
	cargo build --release --features bench --bins

# The sanitizer's and the coverage's compiler options are unstable; RUSTC_BOOTSTRAP lets the stable compiler take them.
# What a run finds and learns stays in tests/fuzz/artifacts and tests/fuzz/corpus, which are not kept in the repository.
fuzz: $(TOOLS)/cargo-fuzz
	set -e; for target in $(FUZZ_TARGETS); do \
		case $$target in jwk_set) longest=8192;; *) longest=1024;; esac; \
		mkdir -p tests/fuzz/corpus/$$target; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz $$target \
			tests/fuzz/corpus/$$target tests/fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=$$longest -timeout=10 -print_final_stats=1 \
			-dict=tests/fuzz/dictionaries/$$target.dict -verbosity=0; \
	done

demo:
	cargo run --release -- demo

setup: $(TOOLS)/nextest $(TOOLS)/venv/installed tests/interop/node_modules/installed

$(TOOLS)/nextest:
	mkdir -p $(TOOLS)
	cargo nextest --version >/dev/null 2>&1 || \
		cargo install --locked --root $(TOOLS) --version $(NEXTEST_VERSION) cargo-nextest
	touch $@

$(TOOLS)/cargo-fuzz:
	mkdir -p $(TOOLS)
	cargo fuzz --version >/dev/null 2>&1 || \
		cargo install --locked --root $(TOOLS) --version $(CARGO_FUZZ_VERSION) cargo-fuzz
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
