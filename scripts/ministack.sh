#!/usr/bin/env bash
# MiniStack, an emulator of AWS, for the tests of crates/aws and crates/e2e.
#   scripts/ministack.sh install     puts the pinned version into .cache/ (once)
#   scripts/ministack.sh run PORT    serves 127.0.0.1:PORT until standard input ends or a signal comes
#   scripts/ministack.sh deploy PORT    the same, with what a deployment of template.yaml needs besides
# Tests start it with a pipe as its input: however they end, the pipe closes and the server goes.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.5.33
# It transforms SAM templates with the first and runs tasks with the second. The marker of an installation names them.
extras="aws-sam-translator==1.115.0 docker==7.2.0"
home=.cache/ministack-$version
server= # the emulator's process, once it runs

install() {
    mkdir -p .cache
    exec 9>.cache/ministack.lock
    flock 9
    [ "$(cat "$home/installed" 2>/dev/null)" = "$extras" ] && return
    echo "installing MiniStack $version into $home"
    # Debian packages this part of Python apart; as no command stands for it, the name before the = is one that never exists.
    python3 -c 'import ensurepip' 2>/dev/null || scripts/need.sh python3-with-ensurepip=python3-venv
    rm -rf "$home"
    python3 -m venv "$home"
    # shellcheck disable=SC2086 # they are several words
    "$home/bin/pip" install --quiet --disable-pip-version-check "ministack==$version" $extras
    echo "$extras" >"$home/installed"
}

run() {
    local port=$1
    shift
    [ -e "$home/installed" ] || { echo "run scripts/ministack.sh install first" >&2; exit 1; }
    BIND_HOST=127.0.0.1 IOT_MTLS_PORT=0 GATEWAY_PORT=$port "$home/bin/$1" "${@:2}" </dev/null &
    server=$!
    trap 'kill "$server" 2>/dev/null; wait "$server"' EXIT
    trap 'exit 143' TERM INT HUP
    # Whichever comes first: the end of input, or of the server.
    while kill -0 "$server" 2>/dev/null; do
        read -r -t 1 || [ $? -gt 128 ] || break
    done
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
