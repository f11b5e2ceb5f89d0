# `make test` sets up what the tests need in folders of its own and passes them all. `make bench` measures, `make soak`
# shows that it lasts, `make fuzz` looks for what no test thought of. `make release` builds what deploy/ ships.

NEXTEST_VERSION := 0.9.128
CARGO_CYCLONEDX_VERSION := 0.5.9
FUZZ_SECONDS := 60
SOAK_MINUTES := 20
FUZZ_TARGETS := config_parse extra_cache go_compile handlebars_compile jwk_set oathkeeper_parse pem_import \
	render_session token_verify
TOOLS := $(CURDIR)/.tools
PYTHON := $(TOOLS)/venv/bin/python
export PATH := $(TOOLS)/bin:$(PATH)

.PHONY: test rust-tests interop bench bench-build bench-quick micro soak instructions profile fuzz demo setup page-test \
	deploy-test release reproducible sbom newcomer

test: rust-tests interop page-test deploy-test

rust-tests: setup
	cargo build
	cargo nextest run
	cargo test --doc

interop: setup
	$(PYTHON) tests/interop/run.py
	$(PYTHON) tests/interop/keys.py
	$(PYTHON) tests/interop/s3.py
	$(PYTHON) tests/interop/reload.py

page-test: tests/playground/node_modules/installed
	cargo build
	cd tests/playground && node --test

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

# What a request costs inside the process: instructions by what they do, and allocations. Builds with symbols, aside.
profile:
	sh tests/interop/need.sh valgrind valgrind
	CARGO_PROFILE_RELEASE_STRIP=false cargo build --release --features bench --bins --target-dir target/profile
	python3 tests/bench/profile.py target/profile/release

micro:
	cargo bench --features bench --bench micro

bench-build:
	cargo build --release --features bench --bins

# Builds with the dev profile into the same directory as `cargo build`, so that only claimsmith is compiled again, with
# coverage instrumentation (tests/fuzz/instrument.sh). Findings and corpus are in tests/fuzz/artifacts and
# tests/fuzz/corpus, which are not part of the repository.
fuzz:
	cp Cargo.lock tests/fuzz/Cargo.lock
	RUSTC_WRAPPER=$(CURDIR)/tests/fuzz/instrument.sh cargo build --manifest-path tests/fuzz/Cargo.toml \
		--target-dir target $(FUZZ_TARGETS:%=--bin %)
	set -e; for target in $(FUZZ_TARGETS); do \
		case $$target in *_parse|jwk_set|pem_import|token_verify) longest=8192;; *) longest=1024;; esac; \
		mkdir -p tests/fuzz/corpus/$$target tests/fuzz/artifacts/$$target; \
		target/debug/$$target tests/fuzz/corpus/$$target tests/fuzz/seeds/$$target \
			-max_total_time=$(FUZZ_SECONDS) -max_len=$$longest -timeout=10 -print_final_stats=1 \
			-dict=tests/fuzz/dictionaries/$$target.dict -artifact_prefix=tests/fuzz/artifacts/$$target/ -verbosity=0; \
	done

# What deploy/ ships, tried as far as that goes without a container engine and a cluster.
deploy-test: $(TOOLS)/deploy/installed $(TOOLS)/cargo-cyclonedx
	cargo build
	sh tests/deploy/rules.sh
	$(TOOLS)/deploy/bin/python -m pytest -q -p no:cacheprovider tests/deploy

# The binary, templates, manual pages and completions, below DIST as they would lie below /.
DIST := target/dist
release:
	rm -rf $(DIST)
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) deploy/docker/build.sh $(DIST)
	rmdir $(DIST)/var/lib/claimsmith $(DIST)/var/lib $(DIST)/var $(DIST)/etc/claimsmith $(DIST)/etc
	install -d $(DIST)/usr/share/man/man1 $(DIST)/usr/share/bash-completion/completions \
		$(DIST)/usr/share/zsh/vendor-completions $(DIST)/usr/share/fish/vendor_completions.d
	$(DIST)/usr/local/bin/claimsmith man --out $(DIST)/usr/share/man/man1
	$(DIST)/usr/local/bin/claimsmith completions bash > $(DIST)/usr/share/bash-completion/completions/claimsmith
	$(DIST)/usr/local/bin/claimsmith completions zsh > $(DIST)/usr/share/zsh/vendor-completions/_claimsmith
	$(DIST)/usr/local/bin/claimsmith completions fish > $(DIST)/usr/share/fish/vendor_completions.d/claimsmith.fish

# Two builds of the release, about six minutes each on two cores.
reproducible:
	tests/deploy/reproducible.sh

# How long somebody new takes: from a clone to the first token, from an Oathkeeper configuration to the same claims.
newcomer:
	sh tests/newcomer.sh start
	cargo build --release
	BINARY=target/release/claimsmith sh tests/newcomer.sh migrate

# What the binary is made of, in target/claimsmith.cdx.json. What only builds need is in it too, because OpenSSL comes by
# that way. cargo-cyclonedx also lists what only tests switch on; cargo tree knows better.
TARGET := x86_64-unknown-linux-gnu
sbom: $(TOOLS)/cargo-cyclonedx
	sh tests/interop/need.sh jq jq
	mkdir -p target
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) cargo cyclonedx --format json --spec-version 1.5 --describe binaries \
		--target $(TARGET)
	cargo tree --locked --target $(TARGET) --edges normal,build --prefix none --format '{p}' | \
		sed 's/^\([^ ]*\) v\([^ ]*\).*/\1@\2/' > target/claimsmith.crates
	sed 's#file://$(CURDIR)#file:///claimsmith#g' claimsmith_bin.cdx.json | \
		jq --rawfile kept target/claimsmith.crates --from-file deploy/sbom.jq > target/claimsmith.cdx.json
	rm -f claimsmith_bin.cdx.json claimsmith-bench_bin.cdx.json

demo:
	cargo run --release -- demo

setup: $(TOOLS)/nextest $(TOOLS)/venv/installed tests/interop/node_modules/installed
	sh tests/interop/need.sh curl curl
	sh tests/interop/need.sh jq jq

$(TOOLS)/nextest:
	mkdir -p $(TOOLS)
	cargo nextest --version >/dev/null 2>&1 || \
		cargo install --locked --debug --root $(TOOLS) --version $(NEXTEST_VERSION) cargo-nextest
	touch $@

$(TOOLS)/cargo-cyclonedx:
	mkdir -p $(TOOLS)
	cargo cyclonedx --version >/dev/null 2>&1 || \
		cargo install --locked --debug --root $(TOOLS) --version $(CARGO_CYCLONEDX_VERSION) cargo-cyclonedx
	touch $@

$(TOOLS)/deploy/installed: tests/deploy/requirements.txt
	mkdir -p $(TOOLS)
	sh tests/interop/need.sh python3 python3-venv
	sh tests/interop/need.sh systemd-analyze systemd
	sh tests/interop/need.sh strace strace
	sh tests/interop/need.sh ps procps
	sh tests/interop/need.sh man man-db
	sh tests/interop/need.sh buildah buildah
	python3 -m venv $(TOOLS)/deploy
	$(TOOLS)/deploy/bin/python -m pip install --quiet --requirement tests/deploy/requirements.txt
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

tests/playground/node_modules/installed: tests/playground/package-lock.json
	sh tests/interop/need.sh npm nodejs npm
	sh tests/interop/need.sh chromium chromium
	cd tests/playground && npm ci --silent --no-audit --no-fund
	touch $@
