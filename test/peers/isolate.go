//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// isolated is an address that is not of the loopback device, of which Janus
	// offers none. The kernel still brings every packet over loopback.
	isolated = "10.99.0.1"
	// inside is set in the namespace.
	inside = "GOVIDU_BENCH_ISOLATED"
)

// isolate starts this program again in a network namespace of its own, with nothing
// in it but loopback and a bridge without ports that has the address isolated. It
// returns inside only.
func isolate() error {
	if os.Getenv(inside) != "" {
		return wire()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return fmt.Errorf("a network namespace for Janus: %w", err)
	}
	args := []string{unshare, "--net"}
	if os.Getuid() != 0 {
		args = append(args, "--map-root-user")
	}
	return syscall.Exec(unshare, append(append(args, self), os.Args[1:]...), append(os.Environ(), inside+"=1"))
}

// wire makes the devices. The old ioctls need no tool that could be missing.
func wire() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := up(fd, "lo"); err != nil {
		return err
	}
	const bridge = "bench0"
	name := append([]byte(bridge), 0)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCBRADDBR, uintptr(unsafe.Pointer(&name[0]))); e != 0 {
		return fmt.Errorf("make a bridge: %w", e)
	}
	for _, set := range []struct {
		what uint
		to   [4]byte
	}{{unix.SIOCSIFADDR, [4]byte{10, 99, 0, 1}}, {unix.SIOCSIFNETMASK, [4]byte{255, 255, 255, 0}}} {
		r, err := unix.NewIfreq(bridge)
		if err != nil {
			return err
		}
		if err := r.SetInet4Addr(set.to[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, set.what, r); err != nil {
			return fmt.Errorf("address of the bridge: %w", err)
		}
	}
	return up(fd, bridge)
}

func up(fd int, device string) error {
	r, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		return fmt.Errorf("bring %s up: %w", device, err)
	}
	return nil
}
