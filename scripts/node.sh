#!/usr/bin/env bash
# Runs a command with the Node or npm that install.sh put into .tools, if it did.
set -euo pipefail
tools="$(cd "$(dirname "$0")/.." && pwd)/.tools/node/bin"
if [ -d "$tools" ]; then export PATH="$tools:$PATH"; fi
exec "$@"
