#!/usr/bin/env bash
# Runs every check, also after a failure, and ends with the number of packages
# and steps that passed and failed.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
passed=0 failed=0 names=()

step() { # name, command...
	local name=$1 start=$SECONDS
	shift
	echo "== $name"
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1)) names+=("$name")
	fi
	echo "== $name: $((SECONDS - start)) s"
}

tests() { # name, command... : counts packages by the lines of go test
	local name=$1 start=$SECONDS status
	shift
	echo "== $name"
	"$@" 2>&1 | tee "$out/log"
	status=${PIPESTATUS[0]}
	local ok bad
	ok=$(grep -cE '^ok[[:space:]]' "$out/log")
	bad=$(grep -cE '^FAIL[[:space:]]+[^[:space:]]' "$out/log")
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
	if [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then bad=1; echo "no test ran"; fi
	passed=$((passed + ok)) failed=$((failed + bad))
	if [ "$bad" -gt 0 ]; then
		names+=("$name")
		grep -E '^[[:space:]]*(--- FAIL:|[A-Za-z0-9_]+_test\.go:[0-9]+:|panic:|WARNING: DATA RACE)|^FAIL' "$out/log" >>"$out/causes"
	fi
	echo "== $name: $((SECONDS - start)) s"
}

step "go vet and staticcheck" make --no-print-directory lint
# shellcheck disable=SC2046 # package paths hold no spaces
tests "unit tests with -race" env CGO_ENABLED=1 go test -race -timeout 8m $(go list ./... | grep -v /test/)
step "fuzz, 20 s each" scripts/fuzz.sh 20s 'transport Fuzz(RTPIn|RTCPIn|SDPOffer|SDPAnswer)$|ice FuzzSTUN$|dtls FuzzDTLSFirstFlight$'
tests "tests with GStreamer" make --no-print-directory test-gst
tests "end-to-end tests" scripts/node.sh go test -count=1 -p 1 -timeout 20m ./test/...

if [ -s "$out/causes" ]; then
	echo "== what failed"
	cut -c1-300 "$out/causes" | tail -n 60
fi
if [ "$failed" -gt 0 ]; then printf 'failed: %s\n' "${names[@]}"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
