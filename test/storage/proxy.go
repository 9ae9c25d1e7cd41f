package storage

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what the proxy before a bucket does to requests.
type Fault int

// Faults. Full refuses what writes, Silent takes requests and never answers, Lie
// changes a byte of each upload of more than 64 KiB, once each time it is set.
const (
	None Fault = iota
	Full
	Silent
	Lie
)

// Proxy stands before a bucket's server. Clients name the proxy as host, and the
// server sees that name: signatures hold.
type Proxy struct {
	server *http.Server
	addr   string
	fault  atomic.Int32
	lies   atomic.Int32
	pace   atomic.Int64 // bytes per second of request bodies, 0 for no limit
	up     atomic.Int64 // bytes of request bodies that passed
	closed chan struct{}
	wg     sync.WaitGroup // of requests
}

func startProxy(t testing.TB, backend string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{addr: ln.Addr().String(), closed: make(chan struct{})}
	target := &url.URL{Scheme: "http", Host: backend}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport:    &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) }, // as a dead host
	}
	p.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.wg.Add(1)
		defer p.wg.Done()
		writes := r.Method == http.MethodPut || r.Method == http.MethodPost
		switch Fault(p.fault.Load()) {
		case Full:
			if writes {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(http.StatusInsufficientStorage)
				_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>QuotaExceeded</Code><Message>the bucket is full</Message></Error>`)
				return
			}
		case Silent:
			select {
			case <-r.Context().Done():
			case <-p.closed: // whose client leaves is not noticed while its body is unread
			}
			return
		case Lie:
			if writes && r.ContentLength > 64<<10 && p.lies.Add(-1) >= 0 {
				r.Body = &liar{ReadCloser: r.Body}
			}
		}
		r.Body = &paced{r.Body, p}
		forward.ServeHTTP(w, r)
	}), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.server.Serve(ln)
	}()
	t.Cleanup(func() {
		close(p.closed)
		_ = p.server.Close()
		p.wg.Wait()
		forward.Transport.(*http.Transport).CloseIdleConnections()
		<-done
	})
	return p
}

// Set changes what happens to requests from now on.
func (p *Proxy) Set(f Fault) {
	p.lies.Store(1)
	p.fault.Store(int32(f))
}

// Pace lets uploads pass at so many bytes per second; 0 is no limit.
func (p *Proxy) Pace(bytesPerSecond int64) { p.pace.Store(bytesPerSecond) }

// Up is how many bytes of uploads passed.
func (p *Proxy) Up() int64 { return p.up.Load() }

type paced struct {
	io.ReadCloser
	p *Proxy
}

func (r *paced) Read(b []byte) (int, error) {
	if pace := r.p.pace.Load(); pace > 0 {
		b = b[:min(int64(len(b)), max(1, pace/50))]
		time.Sleep(20 * time.Millisecond)
	}
	n, err := r.ReadCloser.Read(b)
	r.p.up.Add(int64(n))
	return n, err
}

// liar changes byte 1000.
type liar struct {
	io.ReadCloser
	at int
}

func (l *liar) Read(b []byte) (int, error) {
	n, err := l.ReadCloser.Read(b)
	if i := 1000 - l.at; i >= 0 && i < n {
		b[i] ^= 0xff
	}
	l.at += n
	return n, err
}

// reachable waits until something listens.
func reachable(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", addr, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
