.DEFAULT_GOAL := help
.PHONY: help demo test storm bench e2e mutants lint lint-template build deploy image image-test image-push

DEMO_SECONDS ?= 60

# This machine's architecture, in Lambda's word and in Docker's.
lambda_here := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
docker_here := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: ## installs what it needs, builds, and records a simulated gateway to a summary
	scripts/need.sh cargo=cargo cc=gcc ffmpeg=ffmpeg
	cargo build --locked -p standalone
	target/debug/millrace demo --seconds $(DEMO_SECONDS)

test: ## installs what the tests need and runs them all
	scripts/need.sh cargo=cargo cc=gcc ffmpeg=ffmpeg chromium=chromium python3=python3
	scripts/ministack.sh install
	scripts/dynamodb.sh install
	scripts/moto.sh install
	$(MAKE) lint lint-template
	cargo test --locked --workspace --all-features

e2e: ## deploys template, functions and image into an emulator of AWS, and puts the deployment to the test
	scripts/need.sh cargo=cargo cc=gcc ffmpeg=ffmpeg python3=python3
	scripts/ministack.sh install
	scripts/engine.sh install
	scripts/image.sh $(docker_here)
	scripts/image-test.sh $(docker_here)
	scripts/sam.sh sam build --parameter-overrides Architecture=$(lambda_here) --build-dir .cache/e2e/build
	cargo run --locked --quiet -p e2e -- --template .cache/e2e/build/template.yaml --image millrace-recorder:$(docker_here)

STORMS := storm gateway_storm keep backfill

storm: ## all storms under SEEDS=n seeds each, from FROM=0; a failure says how to replay it
	scripts/need.sh cargo=cargo cc=gcc
	STORM_SEEDS=$(or $(SEEDS),1000) STORM_FROM=$(or $(FROM),0) cargo test --locked --profile storm -p domain --no-fail-fast \
		$(addprefix --test ,$(STORMS)) -- --nocapture storm

bench: ## what poll and dispatch cost as a fleet grows, and the recorder beside ffmpeg and the container of 2020
	scripts/need.sh cargo=cargo cc=gcc ffmpeg=ffmpeg inotifywait=inotify-tools curl=curl
	cargo bench --locked -p domain --bench growth
	cargo bench --locked -p standalone --features s3 --bench archive --bench recorder

mutants: ## plants known bugs one at a time, and shows which layer of tests catches each
	scripts/need.sh cargo=cargo cc=gcc python3=python3
	scripts/mutants.py

lint: ## formatting and clippy, without warnings, and whether the bugs of `make mutants` still fit the code
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	scripts/mutants.py --check

lint-template: ## template.yaml for SAM, cfn-lint and checkov, without findings
	scripts/need.sh python3=python3
	scripts/sam.sh lint

build: ## the Lambda functions, for the Architecture of samconfig.toml or of ARCHITECTURE=arm64|x86_64
	scripts/need.sh cargo=cargo cc=gcc python3=python3
	scripts/sam.sh sam build $(if $(ARCHITECTURE),--parameter-overrides Architecture=$(ARCHITECTURE))

deploy: build ## a stack; asks what it needs to know, and remembers it in samconfig.toml
	scripts/sam.sh sam deploy $(if $(wildcard samconfig.toml),,--guided --capabilities CAPABILITY_IAM)

image: ## the recorder's images, for both architectures or for ARCHS=amd64|arm64
	scripts/need.sh cargo=cargo cc=gcc python3=python3
	scripts/engine.sh install
	scripts/image.sh $(ARCHS)

image-test: ## builds this machine's images and runs them as ECS does
	$(MAKE) image ARCHS=$(docker_here)
	scripts/image-test.sh $(docker_here)

image-push: ## the recorder's images into the repository of STACK=name, as TAG=tag or the one the stack wants
	scripts/need.sh cargo=cargo cc=gcc python3=python3
	scripts/engine.sh install
	scripts/image-push.sh $(or $(STACK),$(error STACK=name says whose repository it is)) $(TAG)
