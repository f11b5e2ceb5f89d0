# `make demo` builds and shows the service. `make test` installs what the tests need and runs them all. `make bench` and
# `make worst` measure, `make soak` tests endurance, `make fuzz` searches for inputs that break parsers, `make models` checks concurrent code.
# `make peers` tests with Oathkeeper and Kratos, which it builds with Go, `make proxies` with nginx, HAProxy, Traefik,
# Caddy and Envoy.
# `make release` builds what deploy/ ships.

FUZZ_SECONDS := 60
SOAK_MINUTES := 20
FUZZ_TARGETS := config_parse escape extra_cache go_compile go_render handlebars_compile jwk_set oathkeeper_parse pem_import \
	render_session request_framing token_verify
TARGET := x86_64-unknown-linux-gnu
TOOLS := $(CURDIR)/.tools
PYTHON := $(TOOLS)/venv/bin/python
PEERS := $(TOOLS)/peers
# Prefix of builds that are not shipped: they use the OpenSSL of the system where possible.
LOCAL := env $$(sh tests/interop/openssl.sh)

.PHONY: test rust-tests interop bench bench-build bench-quick worst micro soak instructions profile fuzz models mutants demo setup \
	page-test deploy-test gateway-test helm-test peers peers-go-templates proxies release reproducible sbom newcomer policy

test: rust-tests interop page-test deploy-test

# The dev profile, which the tests use too: what `make demo` compiles is not compiled again for `make test`.
demo:
	$(LOCAL) cargo run -- demo $(ARGS)

# `cargo build` first, because the targets below use its binary.
rust-tests: setup
	$(LOCAL) cargo build
	$(LOCAL) cargo test

interop: setup
	$(LOCAL) cargo build
	$(PYTHON) tests/interop/run.py
	$(PYTHON) tests/interop/keys.py
	$(PYTHON) tests/interop/s3.py
	$(PYTHON) tests/interop/reload.py

page-test: tests/playground/node_modules/installed
	$(LOCAL) cargo build
	cd tests/playground && node --test

# The tables of docs/performance.md take some minutes. `bench-quick` takes half a minute and shows only that the benchmark
# works. Both measure what is shipped, so OpenSSL is compiled from source unless OPENSSL_NO_VENDOR=1 is set.
bench: bench-build
	target/release/claimsmith-bench

bench-quick: bench-build
	target/release/claimsmith-bench --quick

# The most expensive templates and sessions that the default limits allow, by CPU time, in some minutes. WORST_MILLISECONDS
# prints each rendering that takes longer.
WORST_MILLISECONDS ?= 50
worst: bench-build
	target/release/claimsmith-bench worst $(WORST_MILLISECONDS)

soak: bench-build
	target/release/claimsmith-bench soak --minutes $(SOAK_MINUTES)

bench-build:
	cargo build --release --features bench --bins

instructions:
	$(LOCAL) cargo build --release --features bench --bins
	sh tests/bench/instructions.sh

# Shows what a request costs inside the process: instructions by purpose, and allocations. The build has symbols, so it
# has a target directory of its own.
profile:
	sh tests/interop/need.sh valgrind valgrind
	$(LOCAL) CARGO_PROFILE_RELEASE_STRIP=false cargo build --release --features bench --bins --target-dir target/profile
	python3 tests/bench/profile.py target/profile/release

micro:
	$(LOCAL) cargo bench --features bench,micro --bench micro

# Builds with the dev profile into the same directory as `cargo build`, so that only claimsmith is compiled again, with
# coverage instrumentation (tests/fuzz/instrument.sh). Findings and corpus are in tests/fuzz/artifacts and
# tests/fuzz/corpus, which are not part of the repository.
fuzz:
	cp Cargo.lock tests/fuzz/Cargo.lock
	$(LOCAL) RUSTC_WRAPPER=$(CURDIR)/tests/fuzz/instrument.sh cargo build --manifest-path tests/fuzz/Cargo.toml \
		--target-dir target $(FUZZ_TARGETS:%=--bin %)
	set -e; for target in $(FUZZ_TARGETS); do \
		case $$target in *_parse|jwk_set|pem_import|token_verify) longest=8192;; *) longest=1024;; esac; \
		mkdir -p tests/fuzz/corpus/$$target tests/fuzz/artifacts/$$target; \
		target/debug/$$target tests/fuzz/corpus/$$target tests/fuzz/seeds/$$target \
			-max_total_time=$(FUZZ_SECONDS) -max_len=$$longest -timeout=10 -print_final_stats=1 \
			-dict=tests/fuzz/dictionaries/$$target.dict -artifact_prefix=tests/fuzz/artifacts/$$target/ -verbosity=0; \
	done

# Checks concurrent code with loom, and timeouts with paused time. Loom is compiled with its own profile, so it has its
# own target directory.
models:
	cp Cargo.lock tests/models/Cargo.lock
	cargo test --manifest-path tests/models/Cargo.toml --target-dir target/models

# Changes the code of the core and of the service in one place at a time, and reports each change that no test of the library
# notices. All changes take more than a day on two cores, so MUTANTS_SHARD selects a part: 0/72 is every 72nd change.
MUTANTS_SHARD ?= 0/72
mutants: $(TOOLS)/bin/cargo-mutants
	$(LOCAL) $(TOOLS)/bin/cargo-mutants mutants --in-place --shard $(MUTANTS_SHARD) --sharding round-robin \
		--output target/mutants

$(TOOLS)/bin/cargo-mutants:
	cargo install --quiet --locked --root $(TOOLS) cargo-mutants@27.1.0

# Compares generated Go templates with Go itself. A seed always makes the same templates. It fails if any claim is wrong,
# and lists what is refused here but not by Go. GO_TEMPLATES_SECONDS, GO_TEMPLATES_SEED and GO_TEMPLATES_COUNT (the most templates)
# can be set.
GO_TEMPLATES_SECONDS ?= 60
GO_TEMPLATES_SEED ?= 1
peers-go-templates:
	sh tests/interop/need.sh go golang
	cd tests/peers/go-templates && go build -o $(CURDIR)/target/go-templates-oracle .
	$(LOCAL) GO_TEMPLATES_SECONDS=$(GO_TEMPLATES_SECONDS) GO_TEMPLATES_SEED=$(GO_TEMPLATES_SEED) \
		cargo test --lib templates::go::tests::differential -- --ignored --nocapture

# Tests what deploy/ ships, as far as that is possible without a container engine and a cluster.
deploy-test: $(TOOLS)/deploy/installed
	$(LOCAL) cargo build
	sh tests/deploy/rules.sh
	$(TOOLS)/deploy/bin/python -m pytest -q -p no:cacheprovider tests/deploy

# Validates manifests for gateways and configurations of Kratos against the schemas of their projects, which Go downloads.
# `deploy-test` skips these checks if the schemas are not there.
gateway-test: $(TOOLS)/deploy/installed $(TOOLS)/schemas/downloaded
	$(LOCAL) cargo build
	$(TOOLS)/deploy/bin/python -m pytest -q -p no:cacheprovider tests/deploy/test_gateways.py \
		tests/deploy/test_compose_proxies.py

$(TOOLS)/schemas/downloaded: tests/deploy/schemas.py $(TOOLS)/deploy/installed
	sh tests/interop/need.sh go golang
	$(TOOLS)/deploy/bin/python tests/deploy/schemas.py $(TOOLS)/schemas
	touch $@

# Renders the chart with the real helm, which Go builds from the module proxy in more than two minutes of CPU time. Therefore
# `.ci/run` renders the chart only with Helm's engine (`make deploy-test`).
helm-test: $(TOOLS)/deploy/installed $(PEERS)/helm
	$(LOCAL) cargo build
	HELM=$(PEERS)/helm $(TOOLS)/deploy/bin/python -m pytest -q -p no:cacheprovider tests/deploy/test_helm.py

$(PEERS)/helm: tests/peers/helm/go.mod tests/peers/helm/go.sum
	sh tests/interop/need.sh go golang
	cd tests/peers/helm && go build -p 2 -ldflags=-w -o $@ helm.sh/helm/v3/cmd/helm

# Tests with the real Oathkeeper and Kratos, which Go builds from the module proxy. Neither optimization nor debug information
# is needed for these tests. Without them, the compiler takes half of the time. Kratos hashes passwords slowly on purpose, so
# the cryptography is optimized.
PEER_FLAGS := -p 2 -ldflags=-w '-gcflags=all=-N -l -dwarf=false' '-gcflags=golang.org/x/crypto/...=-dwarf=false'
peers: $(PEERS)/oathkeeper $(PEERS)/kratos $(PEERS)/installed
	$(LOCAL) cargo build
	$(PEERS)/venv/bin/python -m pytest -q -p no:cacheprovider tests/peers

# Tests with nginx, HAProxy, Traefik, Caddy and Envoy, which need no Go. A part of them also uses Kratos if it is built.
proxies: $(PEERS)/proxies-installed
	$(LOCAL) cargo build
	$(PEERS)/venv/bin/python -m pytest -q -p no:cacheprovider tests/proxies

$(PEERS)/oathkeeper: tests/peers/oathkeeper/go.mod tests/peers/oathkeeper/go.sum
	cd tests/peers/oathkeeper && go build $(PEER_FLAGS) -o $@ github.com/ory/oathkeeper

$(PEERS)/kratos: tests/peers/kratos/go.mod tests/peers/kratos/go.sum
	cd tests/peers/kratos && CGO_ENABLED=1 CGO_CFLAGS=-O0 \
		go build $(PEER_FLAGS) -tags sqlite -o $@ github.com/ory/kratos

# Lays out the binary, templates, manual pages and completions below DIST as they belong below /.
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

# Builds the release twice and compares the bytes.
reproducible:
	tests/deploy/reproducible.sh

# Times a new user's first steps: from a clone to the first token, and from an Oathkeeper configuration to the same claims.
newcomer:
	sh tests/newcomer.sh start
	$(LOCAL) cargo build
	BINARY=target/debug/claimsmith sh tests/newcomer.sh migrate

# Writes target/claimsmith.cdx.json, which lists what the binary is built from.
sbom:
	mkdir -p target
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) python3 deploy/sbom.py $(TARGET) default > target/claimsmith.cdx.json

# Checks dependencies against .deny.toml. Only cargo-deny knows security advisories; its database is on the network.
policy:
	python3 .ci/policy.py --self-test
	python3 .ci/policy.py
	@set -e; if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --config .deny.toml --all-features check bans licenses sources; \
		if timeout 60 cargo deny --config .deny.toml --all-features fetch db >/dev/null 2>&1; then \
			cargo deny --config .deny.toml --all-features check advisories; \
		else \
			echo 'WARNING: security advisories were NOT checked: the advisory database cannot be fetched' >&2; \
		fi; \
	else \
		echo 'WARNING: security advisories were NOT checked: cargo-deny is not installed' >&2; \
	fi

setup: $(TOOLS)/venv/installed tests/interop/node_modules/installed
	sh tests/interop/need.sh curl curl
	sh tests/interop/need.sh jq jq

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

$(PEERS)/installed: tests/peers/requirements.txt
	mkdir -p $(PEERS)
	sh tests/interop/need.sh python3 python3-venv
	python3 -m venv $(PEERS)/venv
	$(PEERS)/venv/bin/python -m pip install --quiet --requirement tests/peers/requirements.txt
	touch $@

$(PEERS)/proxies-installed: tests/proxies/requirements.txt $(PEERS)/installed
	sh tests/interop/need.sh nginx nginx
	sh tests/interop/need.sh haproxy haproxy
	$(PEERS)/venv/bin/python -m pip install --quiet --no-deps --require-hashes --requirement tests/proxies/requirements.txt
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
