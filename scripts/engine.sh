#!/usr/bin/env bash
# A Docker engine for building and testing the images, apart from any other on this machine.
#   scripts/engine.sh install      installs what it needs, by apt
#   scripts/engine.sh run          prints the engine's address (unix://...) when it answers, and serves until
#                                  standard input ends or a signal comes
#   scripts/engine.sh with CMD...  runs CMD with DOCKER_HOST set: to the engine that answers already (a laptop's), or
#                                  to one started for it
# Images and build cache stay in .cache/engine. Whoever starts `run` with a pipe as its input needs no clean-up: however
# it ends, the pipe closes, and the engine goes with its containers. It needs root, and cgroups it may write.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/serve.sh

data=$PWD/.cache/engine
run=      # sockets, whose paths must be short; gone at the end
server=   # the engine's process
bridge=   # the network of its containers
answers_within_seconds=60

install() {
    scripts/need.sh dockerd=docker.io docker=docker.io iptables=iptables ip=iproute2
}

# Two engines must not share docker0: each would give out the same addresses.
make_bridge() {
    local nth
    for nth in $(seq 100 163); do
        if ip link add "millrace$nth" type bridge 2>/dev/null; then
            bridge=millrace$nth
            ip addr add "172.30.$nth.1/24" dev "$bridge"
            ip link set "$bridge" up
            return
        fi
    done
    echo "no free name for a network bridge: ip link show type bridge" >&2
    exit 1
}

finish() {
    trap '' TERM INT HUP
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    [ -z "$bridge" ] || ip link delete "$bridge" || true
    rm -rf "$run"
}

start() {
    [ "$(id -u)" -eq 0 ] || { echo "an engine of its own needs root; or start Docker and set DOCKER_HOST" >&2; exit 1; }
    mkdir -p "$data"
    exec 9>"$data.lock"
    flock -n 9 || { echo "waiting for another engine on $data" >&2; flock 9; }
    run=$(mktemp -d /tmp/millrace-engine.XXXXXX)
    trap finish EXIT
    trap 'exit 143' TERM INT HUP
    make_bridge
    dockerd --data-root "$data" --exec-root "$run/exec" --pidfile "$run/pid" --host "unix://$run/docker.sock" \
        --bridge "$bridge" --oom-score-adjust=0 --shutdown-timeout 5 </dev/null >"$data.log" 2>&1 9>&- &
    server=$!
    local waited
    for waited in $(seq "$((answers_within_seconds * 5))"); do
        if docker --host "unix://$run/docker.sock" version >/dev/null 2>&1; then return; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 20 "$data.log" >&2
    echo "the engine does not answer; its log is $data.log" >&2
    exit 1
}

hold() {
    start
    echo "unix://$run/docker.sock"
    await_end_of "$server"
}

with_engine() {
    if docker version >/dev/null 2>&1; then
        "$@"
        return
    fi
    install
    start
    DOCKER_HOST=unix://$run/docker.sock "$@" 9>&-
}

case "${1-}" in
install) install ;;
run) hold ;;
with)
    shift
    with_engine "$@"
    ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
