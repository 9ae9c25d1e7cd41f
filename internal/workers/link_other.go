//go:build !linux

package workers

import (
	"net"
	"time"
)

type link struct{}

func newLink(*net.UnixConn) (*link, error)      { return nil, errPlatform }
func (*link) close()                            {}
func (*link) send([]byte) (bool, error)         { return false, errPlatform }
func (*link) sendUntil(time.Time, []byte) error { return errPlatform }
func (*link) receive([]byte) (int, error)       { return 0, errPlatform }
func (*link) waiting() bool                     { return false }
