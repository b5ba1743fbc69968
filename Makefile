# What there is to do here. `make` alone lists it. Needs Rust; installs the rest where it is missing,
# and says so (.ci/need).

TARGET := $(or $(CARGO_TARGET_DIR),target)
ORG    := $(TARGET)/release/org
# One test at a time: a journey brings up an organisation, which has both cores to itself then.
# Longest that all tests may take: one that waits for ever must fail and not be waited for.
LIMIT  := timeout --kill-after=30 45m

.DEFAULT_GOAL := help
.PHONY: help demo test soak lint bench recording science

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1	\2/' | expand -t 14

demo: ## build, and bring up a chief and eight researchers: no key, no GPU, no network
	@.ci/need cc git python3 tmux
	cargo build --release --locked
	@echo "the program is $(ORG); it starts orgs/demo.toml with pretended models"
	$(ORG) up orgs/demo.toml --mock
	@echo
	@echo "what was tried, refused and promoted:  $(ORG) report"
	@echo "look again:                            $(ORG) attach"
	@echo "end it, leaving nothing running:       $(ORG) down"

test: lint ## lint, then all tests
	@.ci/need cc git python3 tmux venv
	RUST_TEST_THREADS=1 .ci/own-proc $(LIMIT) cargo test --locked --lib --bins --tests --no-fail-fast

soak: ## a night of 2,000 turns in minutes: faults, kills, a cap; ORG_SOAK_SEED=N has another
	@.ci/need cc git
	ORG_SOAK_TURNS=2000 .ci/own-proc $(LIMIT) cargo test --locked --test it -- --nocapture soak

lint: ## formatting, clippy and documentation, warnings being errors
	@.ci/need cc rustfmt clippy
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

bench: ## speed and memory against their floors, as ratios measured in one run
	@.ci/need cc git python3 tmux
	cargo bench --locked

recording: ## play the demo, record it, and draw it: the README's picture
	@.ci/need cc git python3 tmux
	cargo build --release --locked
	ORG=$(ORG) docs/record.py

science: ## claims, true and false, before the lab: what is promoted is true (half an hour at most)
	@.ci/need cc git python3
	cargo test --release --locked --test science -- --all
