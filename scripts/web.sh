#!/usr/bin/env bash
# Builds the page at / into openvidu/web/dist.
set -euo pipefail
cd "$(dirname "$0")/.."
page=openvidu/web/app
scripts/node.sh npm --prefix "$page" ci --ignore-scripts --no-audit --no-fund
rm -rf openvidu/web/dist/assets
scripts/node.sh npm --prefix "$page" run --silent build
touch openvidu/web/dist/index.html
