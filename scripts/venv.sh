#!/usr/bin/env bash
# Python programs in pinned versions, in a folder of their own: scripts/venv.sh FOLDER REQUIREMENT ...
# Does nothing when exactly these are there. Who asks at the same time waits.
set -euo pipefail
cd "$(dirname "$0")/.."

home=$1
shift
mkdir -p "$(dirname "$home")"
exec 9>"$home.lock"
flock 9
# The mark of a whole installation.
[ "$(cat "$home/installed" 2>/dev/null)" != "$*" ] || exit 0
echo "installing $* into $home" >&2
# Debian packages this part of Python apart; as no command stands for it, the name before the = is one that never exists.
python3 -c 'import ensurepip' 2>/dev/null || scripts/need.sh python3-with-ensurepip=python3-venv >&2
rm -rf "$home"
python3 -m venv "$home"
"$home/bin/pip" install --quiet --disable-pip-version-check "$@"
echo "$*" >"$home/installed"
