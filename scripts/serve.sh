# shellcheck shell=bash
# For scripts that run a server for somebody who holds a pipe to them: source this. However that somebody ends, the
# pipe closes, and the server goes.

# Runs a command until standard input ends, it ends by itself, or a signal comes.
serve() {
    "$@" </dev/null &
    server=$!
    trap 'kill "$server" 2>/dev/null; wait "$server"' EXIT
    trap 'exit 143' TERM INT HUP
    await_end_of "$server"
}

# Waits until standard input or this process ends, whichever comes first.
await_end_of() {
    while kill -0 "$1" 2>/dev/null; do
        read -r -t 1 || [ $? -gt 128 ] || break
    done
}
