#!/usr/bin/env bash
# Builds the recorder's images and pushes them to the repository of a deployed stack: scripts/image-push.sh STACK [TAG]
# The architecture is the stack's, and so is the tag, unless one is named: then deploy with RecorderTag=TAG to use it.
# Region and credentials are found as the AWS command line finds them; the repository's password is never an argument.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi

if [ -z "${MILLRACE_PUSH_TO-}" ]; then
    described=$(scripts/sam.sh python - "$1" <<'PYTHON'
import sys, boto3
[stack] = boto3.client("cloudformation").describe_stacks(StackName=sys.argv[1])["Stacks"]
parameters = {entry["ParameterKey"]: entry["ParameterValue"] for entry in stack["Parameters"]}
outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}
architecture = {"arm64": "arm64", "x86_64": "amd64"}[parameters["Architecture"]]
print(outputs["ImageRepository"], architecture, parameters["RecorderTag"])
PYTHON
    )
    read -r repository architecture tag <<<"$described"
    scripts/image.sh "$architecture"
    export MILLRACE_PUSH_TO=$repository MILLRACE_PUSH_ARCHITECTURE=$architecture MILLRACE_PUSH_TAG=${2:-$tag}
    exec scripts/engine.sh with "$0" "$@"
fi

# What the engine keeps of the log-in goes when this ends.
DOCKER_CONFIG=$(mktemp -d)
export DOCKER_CONFIG
trap 'rm -rf "$DOCKER_CONFIG"' EXIT
scripts/sam.sh python - <<'PYTHON' | docker login --username AWS --password-stdin "${MILLRACE_PUSH_TO%%/*}"
import base64, boto3
[answer] = boto3.client("ecr").get_authorization_token()["authorizationData"]
print(base64.b64decode(answer["authorizationToken"]).decode().split(":", 1)[1], end="")
PYTHON

push() {
    docker tag "$1" "$MILLRACE_PUSH_TO:$2"
    docker push --quiet "$MILLRACE_PUSH_TO:$2"
}
push "millrace-recorder:$MILLRACE_PUSH_ARCHITECTURE" "$MILLRACE_PUSH_TAG"
push "millrace-transform:$MILLRACE_PUSH_ARCHITECTURE" "$MILLRACE_PUSH_TAG-transform"
