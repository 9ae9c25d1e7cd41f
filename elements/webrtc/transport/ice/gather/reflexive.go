package gather

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/ice"
)

// ErrNoAnswer: a STUN server that does not answer.
var ErrNoAnswer = errors.New("no answer")

// Reflexive asks a STUN server under which address it sees the socket, which
// nobody else may read meanwhile. It asks five times within 7.5 s, or until the
// context is over.
func Reflexive(ctx context.Context, c *net.UDPConn, server netip.AddrPort) (netip.AddrPort, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer func() {
		stop()
		_ = c.SetReadDeadline(time.Time{})
	}()
	id := ice.NewID(0)
	query := ice.AppendQuery(nil, id)
	b := make([]byte, 1500)
	for wait := 500 * time.Millisecond; wait <= 4*time.Second && ctx.Err() == nil; wait *= 2 {
		if _, err := c.WriteToUDPAddrPort(query, server); err != nil {
			return netip.AddrPort{}, fmt.Errorf("ask STUN server %s: %w", server, err)
		}
		if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return netip.AddrPort{}, fmt.Errorf("ask STUN server %s: %w", server, err)
		}
		for ctx.Err() == nil { // it may be over since the deadline was set
			n, from, err := c.ReadFromUDPAddrPort(b)
			var timeout net.Error
			if errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			if err != nil || netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != server {
				continue
			}
			if addr, ok := ice.Mapped(b[:n], id); ok {
				return addr, nil
			}
		}
	}
	return netip.AddrPort{}, fmt.Errorf("ask STUN server %s: %w", server, errors.Join(ErrNoAnswer, ctx.Err()))
}
