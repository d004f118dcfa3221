#!/usr/bin/env bash
# moto, an emulator of AWS, for the tests of what runs on EC2.
#   scripts/moto.sh install     puts the pinned version into .cache/ (once)
#   scripts/moto.sh run PORT    serves 127.0.0.1:PORT until standard input ends or a signal comes
# Tests start it with a pipe as its input: however they end, the pipe closes and the server goes.
# What it has to learn of EC2 before is in scripts/emulated_ec2.py.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/serve.sh

version=5.2.5
home=.cache/moto-$version

run() {
    [ -e "$home/installed" ] || { echo "run scripts/moto.sh install first" >&2; exit 1; }
    # Amazon's public images are of no use here, and take seconds to load.
    export MOTO_EC2_LOAD_DEFAULT_AMIS=false
    serve "$home/bin/python" scripts/emulated_ec2.py --host 127.0.0.1 --port "$1"
}

case "${1-} ${2-}" in
"install ") scripts/venv.sh "$home" "moto[server,ec2]==$version" ;;
"run "[0-9]*) run "$2" ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
