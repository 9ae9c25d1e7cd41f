package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/secret"
)

// client calls the REST API of one server.
type client struct {
	base   *url.URL
	secret secret.Secret
	http   *http.Client
}

// apiError is an answer other than success.
type apiError struct {
	Status int
	Text   string
}

func (e *apiError) Error() string { return e.Text }

func newClient(base string, s secret.Secret, insecure bool) (*client, error) {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("read the server's URL %q: want something like https://video.example.com", base)
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	return &client{base: u, secret: s, http: &http.Client{
		Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure || local},
		},
	}}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// callTime bounds one call; starting and stopping a recording waits for files.
const callTime = 60 * time.Second

// request sends one call; body nil is none. The caller closes the answer.
func (c *client) request(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, payload)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth("OPENVIDUAPP", c.secret.Reveal())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w%s", c.base, errors.Unwrap(err), hint(err))
	}
	return resp, nil
}

// hint says what to do about the usual reasons.
func hint(err error) string {
	var unknown *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &unknown):
		return " (with a self-signed certificate use --insecure)"
	case errors.As(err, &op) && op.Op == "dial":
		return " (is the server running? --url names another)"
	}
	return ""
}

// api calls below /openvidu/api and reads the answer into result, when not nil.
func (c *client) api(ctx context.Context, method, path string, body, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	resp, err := c.request(ctx, method, "/openvidu/api"+path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return &apiError{resp.StatusCode, explain(resp.StatusCode, b)}
	}
	if result == nil || len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, result); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// explain turns a status and a body into a sentence.
func explain(status int, body []byte) string {
	var e struct{ Message string }
	text := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &e) == nil && e.Message != "" {
		text = e.Message
	}
	if text == "" {
		switch status {
		case http.StatusUnauthorized:
			text = "the secret is wrong (set OPENVIDU_SECRET)"
		case http.StatusNotFound:
			text = "there is no such session or recording"
		case http.StatusConflict:
			text = "it exists already, or is in a state that does not allow this"
		case http.StatusNotAcceptable:
			text = "the session has nobody in it"
		case http.StatusNotImplemented:
			text = "recording is switched off on the server (OPENVIDU_RECORDING)"
		default:
			text = strings.ToLower(http.StatusText(status))
		}
	}
	return fmt.Sprintf("%s (HTTP %d)", text, status)
}
