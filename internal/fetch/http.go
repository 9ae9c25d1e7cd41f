package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Client is an HTTP client whose connections are dialled by DialContext: no
// proxy, no cookies, TLS 1.2 or newer, at most MaxRedirects redirects, each
// checked by Parse, and a response that is silent for IdleTimeout ends. Bodies
// are not bounded: see Open. Errors may name the URL: see Get.
func (p *Policy) Client() *http.Client {
	p.once.Do(func() {
		p.client = &http.Client{
			Transport: &http.Transport{
				Proxy: nil,
				DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					c, err := p.DialContext(ctx, network, address)
					if err != nil {
						return nil, err
					}
					return &idleConn{Conn: c}, nil
				},
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    ConnectTimeout,
				ResponseHeaderTimeout:  HeaderTimeout,
				MaxResponseHeaderBytes: 64 << 10,
				ExpectContinueTimeout:  time.Second,
				DisableKeepAlives:      true,
				DisableCompression:     true, // a small body must not become a large one
			},
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) > MaxRedirects {
					return fmt.Errorf("more than %d redirects: %w", MaxRedirects, ErrRefused)
				}
				return checkHTTP(r.URL)
			},
		}
	})
	return p.client
}

func checkHTTP(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%s: %w", clip(u.Scheme), ErrScheme)
	}
	_, err := Parse(u.String())
	return err
}

// Get asks for an http or https URL and returns a response of kind 2xx, with
// credentials of the URL sent as HTTP Basic. header may be nil. Errors name
// neither credentials nor query.
func (p *Policy) Get(ctx context.Context, uri string, header http.Header) (*http.Response, error) {
	u, err := Parse(uri)
	if err != nil {
		return nil, err
	}
	if err := checkHTTP(u); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("get: %w", ErrRefused)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	r.Header.Set("User-Agent", "govidu")
	resp, err := p.Client().Do(r)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", Redact(uri), Cause(err))
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body.Close()
		return nil, fmt.Errorf("get %s: server answers %d %s", Redact(uri), resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return resp, nil
}

// Cause is an error of Client without the URL it repeats.
func Cause(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// Open reads what a file, http or https URI leads to. A reader that gets to more
// than limit bytes fails with ErrTooLarge, at once when the length is known; 0 is
// no limit, for media that is used as it comes. The reader ends with ctx.
func (p *Policy) Open(ctx context.Context, uri string, limit int64) (io.ReadCloser, error) {
	var body io.ReadCloser
	size := int64(-1)
	switch scheme := Scheme(uri); scheme {
	case "file":
		f, err := p.File(uri)
		if err != nil {
			return nil, err
		}
		body = f
		if st, err := f.Stat(); err == nil {
			size = st.Size()
		}
	case "http", "https":
		resp, err := p.Get(ctx, uri, nil)
		if err != nil {
			return nil, err
		}
		body, size = resp.Body, resp.ContentLength
	default:
		return nil, fmt.Errorf("%q: %w", clip(scheme), ErrScheme)
	}
	if limit <= 0 {
		return body, nil
	}
	if size > limit {
		body.Close()
		return nil, fmt.Errorf("open %s: %d bytes: %w", Redact(uri), size, ErrTooLarge)
	}
	return &limited{ReadCloser: body, left: limit}, nil
}

// limited fails, rather than ends, at its limit.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(b)) > l.left+1 {
		b = b[:l.left+1] // one more, to tell the end from an excess
	}
	n, err := l.ReadCloser.Read(b)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}

// idleConn fails a read or write that makes no progress for IdleTimeout. While
// nobody reads nothing runs out.
type idleConn struct{ net.Conn }

func (c *idleConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(IdleTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *idleConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(IdleTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
