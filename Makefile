# Govidu: everything a developer, CI and the Dockerfile run. `make` prints the menu.
SHELL := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
FLAGS = -trimpath -ldflags "-s -w -X github.com/govidu/govidu/internal/process.version=$(VERSION)"
PAGE := openvidu/web/app
GST := ./internal/gst ./internal/mediaworker ./internal/workers ./elements/filters ./elements/hubs ./elements/uri
E2E := scripts/node.sh go test -count=1 -p 1

.PHONY: help build worker web run test test-race test-gst test-e2e test-faults test-storage test-examples bench-elements bench-composite bench-peers fuzz lint docs docker clean
help: ## Print this menu
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' Makefile
have-%: # installs tools: have-gcc-node
	@scripts/install.sh $(subst -, ,$*)

build: ## Build bin/openvidu-server, bin/kms and bin/ovctl (pure Go)
	CGO_ENABLED=0 go build -tags "$(or $(TAGS),gcs azure)" $(FLAGS) -o bin/ ./cmd/...
worker: have-gcc-gstreamer ## Build bin/mediaworker (cgo; needs GStreamer's headers)
	CGO_ENABLED=1 go build -tags gst $(FLAGS) -o bin/mediaworker ./cmd/mediaworker
web: openvidu/web/dist/index.html ## Build the page at / (needs Node 18 or later)
openvidu/web/dist/index.html: $(shell find $(PAGE) -path $(PAGE)/node_modules -prune -o -type f -print)
	scripts/install.sh node
	scripts/web.sh

run: web build ## Start a developer server on https://localhost:4443; the worker is built meanwhile
	@mkdir -p .tools; ($(MAKE) --no-print-directory worker >.tools/worker.log 2>&1 && echo "The media worker is built." || echo "The media worker was not built: see .tools/worker.log") &
	exec bin/openvidu-server --dev $(ARGS)

test: have-gcc-gstreamer-node-chromium-firefox-ffmpeg-nginx-jq ## Everything: page, build, lint, unit tests with -race, GStreamer, end to end
	$(MAKE) --no-print-directory web build worker
	scripts/test.sh
test-race: have-gcc-ffmpeg-nginx-jq ## Unit tests with the race detector
	CGO_ENABLED=1 go test -race -timeout 8m $$(go list ./... | grep -v /test/)
test-gst: worker have-ffmpeg-nginx ## Tests of what needs GStreamer
	go vet -tags gst $(GST)
	CGO_ENABLED=1 go test -tags gst -count=1 -p 1 -timeout 15m -run "^($$(grep -l '^//go:build gst' $(GST:=/*_test.go) | xargs grep -hoP '^func \KTest\w+' | paste -sd'|'))$$" $(GST)
test-e2e: web build worker have-node-chromium-firefox-ffmpeg-nginx ## End-to-end tests: the binaries, real Chromium, the old clients
	$(E2E) -timeout 20m ./test/...
test-faults: web build worker have-node-chromium-firefox-ffmpeg-nginx ## Long tests: kill -9, crashing workers, leaks, every layout, bad networks, floods, strict times (run alone)
	GOVIDU_NETWORK=1 $(E2E) -v -timeout 20m -run '^Test(Pacing.*|REMBOfTheWay.*|Layers)$$' ./elements/webrtc/transport ./test/media
	GOVIDU_RUNS=$(or $(RUNS),10) GOVIDU_KILLS=20 GOVIDU_CRASHES=50 GOVIDU_CYCLES=1000 GOVIDU_COMPOSED=1 GOVIDU_NETWORK=1 GOVIDU_STRICT_TIMES=1 $(E2E) -v -timeout 90m ./test/e2e/... ./test/faults/... ./test/sync/...
test-storage: web build worker have-gcc-node-chromium-ffmpeg-nginx-buckets ## Recordings in buckets of S3, Google Cloud and Azure, all on this machine
	GOVIDU_BUCKETS=1 $(E2E) -tags gcs,azure -v -timeout 15m -run Storage ./test/storage ./test/e2e
test-examples: build worker have-node-chromium ## Every example: its server, its page in Chromium
	cd examples && ../scripts/node.sh npm ci --ignore-scripts --no-audit --no-fund && ../scripts/node.sh node --test test/
bench-elements: build worker have-ffmpeg ; go run ./test/bench $(ARGS) ## What workers cost, beside gst-launch-1.0 (run alone)
bench-composite: build worker have-ffmpeg-chromium-xvfb ; go run ./test/bench -composed $(ARGS) ## What composites cost, beside xstack and Chromium (run alone)
bench-peers: build have-janus-livekit ; go run ./test/peers $(ARGS) ## What forwarding costs, beside Janus, LiveKit and naive Pion (run alone)

fuzz: ## Every fuzz target, or those that FUZZ matches, for FUZZTIME (20s)
	scripts/fuzz.sh '$(or $(FUZZTIME),20s)' '$(or $(FUZZ),.)'
lint: ## go vet and the pinned staticcheck
	go vet ./...
	cd internal/tools && go build -o ../../.tools/ honnef.co/go/tools/cmd/staticcheck
	.tools/staticcheck ./...
docs: ## Write the generated pages of docs/
	go test ./internal/config ./internal/medianode -run 'TestReferenceIsCurrent|TestManualIsCurrent' -update
docker: ## Build the container image govidu:VERSION
	docker build --build-arg VERSION=$(VERSION) -t govidu:$(VERSION) .
clean: ## Remove what the targets above made
	rm -rf bin .tools $(PAGE)/node_modules openvidu/web/dist/assets openvidu/web/dist/index.html openvidu/web/dist/icon.svg
