//go:build gst

// Command mediaworker does one job with GStreamer for openvidu-server or kms,
// which start it with two sockets (internal/workers/wire) and end it. With
// --check it tells, as JSON, what GStreamer on this platform can do.
//
// It is built with `make worker`; build tag gst.
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/mediaworker"
	"github.com/govidu/govidu/internal/workers/wire"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--check" {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(mediaworker.Ready()); err != nil {
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 || !sockets() {
		fmt.Fprintln(os.Stderr, "mediaworker: openvidu-server and kms start this program. By hand: mediaworker --check")
		os.Exit(64)
	}
	mediaworker.Limit()
	// The work is GStreamer's threads; Go only hands frames over, and with one
	// processor its threads do not wake and look for work in vain.
	runtime.GOMAXPROCS(1)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	os.Exit(mediaworker.Run(os.NewFile(wire.MediaFD, "media"), os.NewFile(wire.ControlFD, "control"), log))
}

// sockets tells whether both inherited descriptors are sockets.
func sockets() bool {
	for _, fd := range []int{wire.MediaFD, wire.ControlFD} {
		var s unix.Stat_t
		if unix.Fstat(fd, &s) != nil || s.Mode&unix.S_IFMT != unix.S_IFSOCK {
			return false
		}
	}
	return true
}
