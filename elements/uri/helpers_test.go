package uri_test

import (
	"net"
	"sync"
	"testing"
	"time"
)

// still fails when n changes within d.
func still(t testing.TB, what string, d time.Duration, n func() int) {
	t.Helper()
	before := n()
	tick := time.NewTicker(d / 10)
	defer tick.Stop()
	for range 10 {
		<-tick.C
		if now := n(); now != before {
			t.Errorf("%s: %d, then %d", what, before, now)
			return
		}
	}
}

// silent is the address of a server that accepts and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		for _, c := range conns {
			c.Close()
		}
	})
	return l.Addr().String()
}
