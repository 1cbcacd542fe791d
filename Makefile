# `make demo` shows it, `make test` proves it, `make bench` measures it, `make counts` counts its instructions.
CARGO ?= cargo
export RUSTDOCFLAGS = -D warnings

# Features that change what portcullis itself can do, which the adapters forward; each is also checked alone.
FEATURES = config explain lookup metrics openapi remote-jwks rustls status-list tracing
WORKSPACE_FEATURES = $(addprefix portcullis/,$(FEATURES)) portcullis-axum/issuer portcullis-axum/rustls portcullis-actix/issuer portcullis-actix/rustls portcullis-issuer/metrics
JSONWEBTOKEN_FEATURES = v10 v11 v12
SQLX_FEATURES = postgres sqlite
TESTKIT_FEATURES = axum actix key-server ring-store session-store tower
# The benchmarks beside others and the fuzzer.
OTHER_WORKSPACES = benches/peers benches/servers fuzz
# Features of serde_json that another crate of a program may turn on.
SERDE_JSON_FEATURES = arbitrary_precision raw_value

# For how long `make fuzz` gives inputs to each target.
SECONDS_EACH = 600

.PHONY: demo test fmt locks lint deny docs docs-rs unit features serde-json fleet-servers api pictures bench counts tools interop-tools fleet-tools store-tools browser-tools mtls-tools counts-tools \
	release-check release-tools powerset minimal-versions rust-version semver advisories publish-dry-run fuzz

demo: tools
	$(CARGO) run --locked --release -p quickstart -- --check
	@echo
	@echo 'The life of a session, against the example first-party-login on SQLite:'
	$(CARGO) run --locked --release -p first-party-login -- --check
	@echo
	@echo 'To leave it running and try for yourself: cargo run --release -p quickstart'

test: tools interop-tools fleet-tools store-tools browser-tools mtls-tools fmt locks lint docs unit serde-json features
	@echo 'make test: all passed'

# The crypto library is C and assembly.
tools:
	@command -v $(CARGO) >/dev/null || { echo 'Rust is missing: install it with rustup'; exit 1; }
	@command -v cc >/dev/null || { echo 'A C compiler is missing: on Debian, apt-get install gcc libc6-dev'; exit 1; }

# An OpenID Provider and libraries of other languages, which tests/interop runs against.
interop-tools:
	@tests/interop/install.sh

# A Redis server, which tests/fleet starts its own of.
fleet-tools:
	@scripts/need.sh redis-server

# PostgreSQL and PgBouncer, which tests/stores starts its own of.
store-tools:
	@tests/stores/install.sh

# Chromium and what drives it, and nginx as a cache, which tests/browser starts its own of.
browser-tools:
	@scripts/need.sh chromedriver chromium-driver
	@scripts/need.sh /usr/sbin/nginx nginx

# nginx, HAProxy and Envoy, which end TLS in front of services: tests/mtls starts its own of each.
mtls-tools:
	@tests/mtls/install.sh

# valgrind, and what runs the benchmark under it.
counts-tools: export CARGO := $(CARGO)
counts-tools: tools
	@benches/install.sh

fmt:
	$(CARGO) fmt --all --check
	$(foreach workspace,$(OTHER_WORKSPACES),$(CARGO) fmt --all --check --manifest-path $(workspace)/Cargo.toml &&) true

# Nothing else here builds those: that our own manifests left a lock file behind would be found out by `make bench` alone.
locks:
	$(foreach workspace,$(OTHER_WORKSPACES),$(CARGO) update --quiet --workspace --locked --manifest-path $(workspace)/Cargo.toml &&) true

lint:
	$(CARGO) clippy --locked --workspace --all-targets $(addprefix --features ,$(WORKSPACE_FEATURES)) -- -D warnings
	$(CARGO) clippy --locked -p portcullis-benches --bench instructions -- -D warnings

docs:
	$(CARGO) doc --locked --workspace --no-deps $(addprefix --features ,$(WORKSPACE_FEATURES))

# The pages of the published crates as they stand on the web.
docs-rs: export CARGO := $(CARGO)
docs-rs: tools
	@scripts/docs-rs.sh

# No test of tests/api, tests/browser, tests/interop and tests/mtls is left out here.
unit: export PORTCULLIS_API = required
unit: export PORTCULLIS_INTEROP = required
unit: export PORTCULLIS_BROWSER = required
unit: export PORTCULLIS_MTLS = required
# For how long keys rotate under load.
unit: export PORTCULLIS_SOAK_SECONDS = 60
unit: interop-tools fleet-tools store-tools browser-tools mtls-tools
	$(CARGO) test --locked --workspace $(addprefix --features ,$(WORKSPACE_FEATURES))

serde-json:
	$(foreach feature,$(SERDE_JSON_FEATURES),$(CARGO) test --locked -p portcullis-serde-json-features --features $(feature) &&) true
	$(CARGO) test --locked -p portcullis-serde-json-features --all-features

features:
	$(CARGO) check --locked -p portcullis --no-default-features
	$(foreach feature,$(FEATURES),$(CARGO) check --locked -p portcullis --no-default-features --features $(feature) &&) true
	$(CARGO) check --locked -p portcullis-redis --no-default-features
	$(CARGO) check --locked -p portcullis-issuer --no-default-features
	$(CARGO) check --locked -p portcullis-issuer --no-default-features --features metrics
	$(foreach adapter,portcullis-axum portcullis-actix,$(CARGO) check --locked -p $(adapter) --no-default-features &&) true
	$(foreach adapter,portcullis-axum portcullis-actix,$(foreach feature,$(FEATURES) issuer,$(CARGO) check --locked -p $(adapter) --no-default-features --features $(feature) &&)) true
	$(foreach feature,$(JSONWEBTOKEN_FEATURES),$(CARGO) check --locked -p portcullis-jsonwebtoken --no-default-features --features $(feature) &&) true
	$(CARGO) check --locked -p portcullis-sqlx --no-default-features
	$(foreach feature,$(SQLX_FEATURES),$(CARGO) check --locked -p portcullis-sqlx --no-default-features --features $(feature) &&) true
	$(CARGO) test --locked -p portcullis-cli --features store --test ring --test session
	$(foreach feature,$(TESTKIT_FEATURES),$(CARGO) check --locked -p portcullis-testkit --no-default-features --features $(feature) &&) true

# The tests of the fleet against Redis 6.2 and Valkey, too, which Debian does not have: before a release.
fleet-servers: export CARGO := $(CARGO)
fleet-servers: tools
	@tests/fleet/servers.sh

# What docs/releasing.md asks for before a release. More than an hour, mostly of fuzzing.
release-check: release-tools powerset minimal-versions rust-version semver deny docs-rs publish-dry-run fuzz advisories
	@echo 'make release-check: all passed. What is left to do by hand is in docs/releasing.md.'

# What these targets run. Each is installed where it is missing, in the version of scripts/tools.txt.
release-tools deny powerset minimal-versions rust-version semver advisories fuzz: export CARGO := $(CARGO)
release-tools: tools
	@scripts/need.sh c++ g++
	@scripts/tool.sh cargo-hack hack --version
	@scripts/tool.sh cargo-deny --version
	@scripts/tool.sh cargo-semver-checks semver-checks --version
	@scripts/tool.sh cargo-fuzz --version

# Licences, where crates come from, and crates that must not come in: deny.toml.
deny: tools
	scripts/tool.sh cargo-deny --locked --log-level error check licenses bans sources
	scripts/tool.sh cargo-deny --locked --log-level error --manifest-path fuzz/Cargo.toml --config deny.toml check licenses bans sources

# Every combination of features of the core, and every pair of the others', which mostly forward the core's. The default is `tracing` by
# another name everywhere.
powerset: tools
	scripts/tool.sh cargo-hack hack clippy --locked -p portcullis --feature-powerset --exclude-features default -- -D warnings
	scripts/tool.sh cargo-hack hack clippy --locked --workspace --ignore-private --exclude portcullis --feature-powerset --depth 2 --exclude-features default -- -D warnings

minimal-versions: tools
	@scripts/minimal-versions.sh

rust-version: tools
	@scripts/rust-version.sh

semver: tools
	@scripts/semver.sh

# Says so where the database cannot be had; with REQUIRED=1, it fails there.
advisories: export REQUIRED := $(REQUIRED)
advisories: tools
	@scripts/advisories.sh

publish-dry-run: tools
	$(CARGO) publish --locked --workspace --dry-run

# Looks for inputs that break a promise.
fuzz: tools
	@scripts/need.sh c++ g++
	fuzz/run.sh $(SECONDS_EACH)

# Writes the lists of the public API in docs/api anew.
api: export PORTCULLIS_API = write
api: tools
	$(CARGO) test --locked -p portcullis-api-tests

# Embeds the pictures of docs/guide/pictures in the pages of the crate anew.
pictures: export PORTCULLIS_PICTURES = write
pictures: tools
	$(CARGO) test --locked -p portcullis-docs-tests --test guide

# Writes benches/RESULTS.md: half an hour on a machine that does nothing else.
bench: counts-tools
	benches/run.sh

# Fails where a path costs more than recorded; `make counts RECORD=1` records what it costs now.
counts: counts-tools
	$(CARGO) run --locked --release -p portcullis-benches --bin counts --$(if $(RECORD), --record)
