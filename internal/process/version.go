package process

import "runtime/debug"

// Version names this build: the one set at link time, or what Go knows of it.
// The linker sets it: -ldflags "-X github.com/govidu/govidu/internal/process.version=v1.2.3".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// version is set by the linker.
var version string
