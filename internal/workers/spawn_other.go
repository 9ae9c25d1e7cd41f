//go:build !linux

package workers

import (
	"errors"
	"log/slog"
	"net"
	"os"
)

var errPlatform = errors.New("media workers need Linux")

type forker struct{}

func (*forker) exec(string, *slog.Logger) (*Process, error) { return nil, errPlatform }
func (*forker) close()                                      {}

// SocketPair makes a pair of Unix sockets; on this platform it cannot.
func SocketPair(int) (*net.UnixConn, *os.File, error) { return nil, nil, errPlatform }

func monotonic() int64                { return 0 }
func rights(int) []byte               { return nil }
func duplicate(*os.File) (int, error) { return -1, errPlatform }
func closeFD(int)                     {}
