.DEFAULT_GOAL := help
.PHONY: help demo test lint

DEMO_SECONDS ?= 60

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: ## installs what it needs, builds, and records a simulated gateway to a summary
	scripts/need.sh cargo=cargo cc=gcc ffmpeg=ffmpeg
	cargo build --locked -p standalone
	target/debug/millrace demo --seconds $(DEMO_SECONDS)

test: ## installs what the tests need and runs them all
	scripts/need.sh cargo=cargo cc=gcc ffmpeg=ffmpeg chromium=chromium python3=python3
	scripts/ministack.sh install
	$(MAKE) lint
	cargo test --locked --workspace --all-features

lint: ## formatting and clippy, without warnings
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
