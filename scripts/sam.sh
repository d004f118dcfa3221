#!/usr/bin/env bash
# The tools that check, build and deploy template.yaml, in pinned versions below .cache/.
#   scripts/sam.sh install lint      cfn-lint and SAM; checkov apart, whose dependencies contradict SAM's
#   scripts/sam.sh install build     cargo-lambda and its linker, Zig
#   scripts/sam.sh lint              template.yaml must be clean for SAM, cfn-lint and checkov
#   scripts/sam.sh sam ARGUMENTS     runs SAM with cargo-lambda at hand
#   scripts/sam.sh python ARGUMENTS  runs the Python that has boto3
set -euo pipefail
cd "$(dirname "$0")/.."

sam=.cache/sam-1.170.0
checkov=.cache/checkov-3.3.30
lambda=.cache/cargo-lambda-1.9.2
# None of the tools has a reason to tell anybody what is done here.
export SAM_CLI_TELEMETRY=0

install_lint() {
    scripts/venv.sh "$sam" aws-sam-cli==1.170.0 cfn-lint==1.58.0
    scripts/venv.sh "$checkov" checkov==3.3.30
}

install_build() {
    scripts/venv.sh "$sam" aws-sam-cli==1.170.0 cfn-lint==1.58.0
    scripts/venv.sh "$lambda" cargo-lambda==1.9.2 ziglang==0.13.0
    # What the default Architecture is compiled for; a toolchain without rustup brings its targets itself.
    if command -v rustup >/dev/null 2>&1; then
        rustup --quiet target add aarch64-unknown-linux-gnu
    fi
}

lint() {
    install_lint
    # SAM asks for a Region even where it talks to nobody.
    "$sam/bin/sam" validate --lint --region us-east-1
    "$sam/bin/cfn-lint" template.yaml
    "$checkov/bin/checkov" --file template.yaml --framework cloudformation --compact --quiet --skip-download
}

case "${1-} ${2-}" in
"install lint") install_lint ;;
"install build") install_build ;;
"lint ") lint ;;
"sam "*)
    install_build
    PATH="$PWD/$lambda/bin:$PATH" exec "$sam/bin/sam" "${@:2}"
    ;;
"python "*)
    install_lint
    exec "$sam/bin/python" "${@:2}"
    ;;
*)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
