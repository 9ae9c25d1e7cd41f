//go:build !linux || portable

package udp

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// writerSystem has nothing but whether a Flush has waited.
type writerSystem struct{ waited bool }

func (w *Writer) prepare() {}

// transmit sends messages of one Socket, one call per datagram.
func (w *Writer) transmit(s *Socket, run []message) {
	if !w.waited {
		w.waited = true
		_ = s.conn.SetWriteDeadline(time.Now().Add(portablePatience))
	}
	for i := range run {
		m := &run[i]
		for at := m.at; at < m.at+m.size; at += m.seg {
			b := w.arena[at:min(at+m.seg, m.at+m.size)]
			w.stats.Calls++
			_, err := s.conn.WriteToUDPAddrPort(b, m.path.to)
			switch {
			case err == nil:
				w.took(&message{n: 1, size: len(b)})
			case errors.Is(err, net.ErrClosed):
				w.stats.Closed++
			case errors.Is(err, os.ErrDeadlineExceeded):
				w.stats.Full++
			case errors.Is(err, syscall.EMSGSIZE):
				w.stats.TooBig++
			case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ECONNREFUSED):
				w.stats.Unreachable++
			default:
				w.stats.Failed++
			}
		}
	}
}
