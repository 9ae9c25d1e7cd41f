#!/usr/bin/env bash
# Runs every fuzz target of the module, one after another, for the given time.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
for file in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz'); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$file"); do
		echo "== $(dirname "$file") $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "$file")"
	done
done
