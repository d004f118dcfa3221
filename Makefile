.PHONY: test
test: ## installs what the tests need and runs them all
	cargo test --workspace
