package uri

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/rtmp"
)

const (
	// rtmpSetup bounds TLS and the setup of a stream, rtmpWrite one message: a
	// target that takes nothing for so long is given up.
	rtmpSetup = 5 * time.Second
	rtmpWrite = 5 * time.Second
	// rtmpDial bounds a connection attempt while a target has just been lost;
	// later one may take rtmpDialLate.
	rtmpDial     = time.Second
	rtmpDialLate = 3 * time.Second
	// rtmpBuffer is the kernel's share of what is not taken yet.
	rtmpBuffer = 512 << 10
)

// rtmpTarget is where an rtmp: or rtmps: URI leads.
type rtmpTarget struct {
	secure      bool
	host, port  string
	app, stream string
}

// parseRTMP splits a URI: the last part of the path, with the query, is the
// stream's name, what is before it the application.
func parseRTMP(uri string) (t rtmpTarget, err error) {
	scheme := fetch.Scheme(uri)
	if scheme != "rtmp" && scheme != "rtmps" {
		return t, kerr.New(kerr.MediaObjectIllegalParam, "RtmpEndpoint needs an rtmp:// or rtmps:// URI, not %q", scheme)
	}
	u, err := fetch.Parse(uri)
	if err != nil {
		return t, fmt.Errorf("RTMP %w: %w", err, kerr.MediaObjectIllegalParam)
	}
	if u.User != nil {
		return t, kerr.New(kerr.MediaObjectIllegalParam, "Credentials before the host of an RTMP URI are not supported")
	}
	t = rtmpTarget{secure: scheme == "rtmps", host: u.Hostname(), port: u.Port()}
	if t.port == "" {
		t.port = map[bool]string{false: "1935", true: "443"}[t.secure]
	}
	path := strings.TrimLeft(u.EscapedPath(), "/")
	i := strings.LastIndexByte(path, '/')
	if i < 1 || i == len(path)-1 {
		return t, kerr.New(kerr.MediaObjectIllegalParam, "RTMP URI %s names no application and stream (rtmp://host/application/stream)", t)
	}
	t.app, t.stream = strings.TrimRight(path[:i], "/"), path[i+1:]
	if u.RawQuery != "" {
		t.stream += "?" + u.RawQuery
	}
	return t, nil
}

// String is the target without what is secret: all after the application's first part.
func (t rtmpTarget) String() string {
	app, _, _ := strings.Cut(t.app, "/")
	u := url.URL{Scheme: t.scheme(), Host: net.JoinHostPort(t.host, t.port), Path: "/"}
	return fetch.Redact(u.String()) + app + "/…"
}

func (t rtmpTarget) scheme() string {
	if t.secure {
		return "rtmps"
	}
	return "rtmp"
}

// publish connects and sets the stream up. ctx bounds the attempt and the stream.
func (t rtmpTarget) publish(ctx context.Context, policy *fetch.Policy, late bool) (*rtmp.Conn, error) {
	limit := rtmpDial
	if late {
		limit = rtmpDialLate
	}
	dial, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := policy.DialContext(dial, "tcp", net.JoinHostPort(t.host, t.port))
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// A refusal leaves the system's choice.
		_ = tcp.SetWriteBuffer(rtmpBuffer)
	}
	conn = rtmp.Watch(conn, rtmpWrite)
	if t.secure {
		secure := tls.Client(conn, &tls.Config{ServerName: t.host, MinVersion: tls.VersionTLS12, RootCAs: rtmpRoots})
		shake, cancel := context.WithTimeout(ctx, rtmpSetup)
		defer cancel()
		if err := secure.HandshakeContext(shake); err != nil {
			conn.Close()
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("no answer within %v", rtmpSetup)
			}
			return nil, fmt.Errorf("TLS with %s: %w", t.host, err)
		}
		conn = secure
	}
	at := net.JoinHostPort(t.host, t.port)
	return rtmp.Publish(ctx, conn, rtmp.Options{
		App: t.app, URL: t.scheme() + "://" + at + "/" + t.app, Stream: t.stream, Setup: rtmpSetup, Write: rtmpWrite,
	})
}
