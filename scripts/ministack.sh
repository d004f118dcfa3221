#!/usr/bin/env bash
# MiniStack, an emulator of AWS, for the tests of crates/aws and crates/e2e.
#   scripts/ministack.sh install     puts the pinned version into .cache/ (once)
#   scripts/ministack.sh run PORT    serves 127.0.0.1:PORT until standard input ends or a signal comes
#   scripts/ministack.sh deploy PORT    the same, with what a deployment of template.yaml needs besides
# Tests start it with a pipe as its input: however they end, the pipe closes and the server goes.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/serve.sh

version=1.5.33
home=.cache/ministack-$version

install() {
    # It transforms SAM templates with the second and runs tasks with the third.
    scripts/venv.sh "$home" "ministack==$version" aws-sam-translator==1.115.0 docker==7.2.0
}

run() {
    [ -e "$home/installed" ] || { echo "run scripts/ministack.sh install first" >&2; exit 1; }
    export BIND_HOST=127.0.0.1 IOT_MTLS_PORT=0 GATEWAY_PORT=$1
    serve "$home/bin/$2" "${@:3}"
}

case "${1-} ${2-}" in
"install ") install ;;
"run "[0-9]*) run "$2" ministack ;;
"deploy "[0-9]*) run "$2" python crates/e2e/emulator.py ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
