#!/usr/bin/env bash
# Runs the module's fuzz targets one after another, each for the given time (20s):
# all of them, or those whose "folder target" the second argument matches, an
# extended regular expression. It goes on after a failure, and fails in the end.
set -uo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s} only=${2:-.}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=() ran=0

fuzz() { # folder, target
	# Minimising each new input takes a minute by default, which is all the time there is.
	timeout --kill-after=10 "${FUZZLIMIT:-40m}" go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 10x \
		-parallel "${FUZZPARALLEL:-2}" "./$1" </dev/null 2>&1 | tee "$log"
	return "${PIPESTATUS[0]}"
}

# Up to Go 1.26 the end of -fuzztime is at times taken for a failure
# (golang.org/issue/75804): no input, no text but this one line.
ended() { # target
	[ "$(grep -cE '^[[:space:]]*--- FAIL:' "$log")" = 1 ] && ! grep -qE 'Failing input|panic|hung or terminated' "$log" &&
		grep -A2 -E "^--- FAIL: $1 \(" "$log" | sed -n '2,3p' | tr '\n' ';' | grep -qE '^    context deadline exceeded;FAIL;$'
}

while read -r folder target; do
	ran=$((ran + 1))
	echo "== $folder $target"
	fuzz "$folder" "$target" && continue
	if ended "$target"; then
		echo "== $folder $target once more: Go took the end of its time for a failure"
		fuzz "$folder" "$target" && continue
	fi
	failed+=("$folder $target")
	input=$(sed -n 's/^[[:space:]]*Failing input written to //p' "$log" | tail -n 1)
	if [ -n "$input" ]; then
		echo "== $folder/$input"
		head -c 4000 "$folder/$input"
		echo
	fi
done < <(git ls-files '*_test.go' | xargs grep -H '^func Fuzz' | sed -n 's/^\(.*\)\/[^/]*:func \(Fuzz[A-Za-z0-9_]*\).*/\1 \2/p' | grep -E "$only")

if [ "$ran" = 0 ]; then echo "no fuzz target matches $only"; fi
if [ "${#failed[@]}" -gt 0 ]; then printf 'failed: %s\n' "${failed[@]}"; fi
[ "$ran" -gt 0 ] && [ "${#failed[@]}" = 0 ]
