package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/govidu/govidu/internal/process"
)

type doctorCmd struct{}

// finding is one line of the doctor.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // ok, warn, fail
	Detail string `json:"detail"`
}

// Run checks one thing after another; later ones need the earlier ones.
func (doctorCmd) Run(e *env) error {
	d := &doctor{env: e}
	d.examine()
	if e.json {
		if err := json.NewEncoder(e.out).Encode(d.findings); err != nil {
			return err
		}
	} else {
		for _, f := range d.findings {
			e.say("%-4s  %-12s %s", f.State, f.Check, f.Detail)
		}
	}
	for _, f := range d.findings {
		if f.State == "fail" {
			return errors.New("something is wrong; see above")
		}
	}
	return nil
}

type doctor struct {
	*env
	findings []finding
}

func (d *doctor) add(state, check, format string, args ...any) {
	d.findings = append(d.findings, finding{check, state, fmt.Sprintf(format, args...)})
}

func (d *doctor) examine() {
	ctx, cancel := context.WithTimeout(d.ctx, 20*time.Second)
	defer cancel()
	if !d.reach(ctx) {
		return
	}
	d.certificate(ctx)
	if !d.credentials(ctx) {
		return
	}
	d.ready(ctx)
	d.settings(ctx)
	d.machine()
}

func (d *doctor) address() string {
	if d.client.base.Port() != "" {
		return d.client.base.Host
	}
	port := "443"
	if d.client.base.Scheme == "http" {
		port = "80"
	}
	return net.JoinHostPort(d.client.base.Hostname(), port)
}

func (d *doctor) reach(ctx context.Context) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", d.address())
	if err != nil {
		d.add("fail", "network", "%s does not answer: %v. Is the server running, and does a firewall let TCP through?", d.address(), err)
		return false
	}
	_ = conn.Close()
	d.add("ok", "network", "%s answers", d.address())
	return true
}

func (d *doctor) certificate(ctx context.Context) {
	if d.client.base.Scheme == "http" {
		d.add("warn", "certificate", "plain HTTP: browsers allow cameras on localhost only, unless a proxy in front speaks https")
		return
	}
	host := d.client.base.Hostname()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: host}} // judged below
	conn, err := dialer.DialContext(ctx, "tcp", d.address())
	if err != nil {
		d.add("fail", "certificate", "no TLS: %v", err)
		return
	}
	defer conn.Close()
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	left := time.Until(leaf.NotAfter).Round(time.Hour)
	switch {
	case left < 0:
		d.add("fail", "certificate", "it ended on %s", leaf.NotAfter.Format(time.DateOnly))
	case leaf.VerifyHostname(host) != nil:
		d.add("fail", "certificate", "it is not for %s but for %v", host, leaf.DNSNames)
	case leaf.Issuer.String() == leaf.Subject.String():
		d.add("warn", "certificate", "self-signed: browsers ask before they go on. Fine for trying out; else CERTIFICATE_TYPE=owncert")
	case left < 14*24*time.Hour:
		d.add("warn", "certificate", "it ends in %v", left)
	default:
		d.add("ok", "certificate", "valid until %s", leaf.NotAfter.Format(time.DateOnly))
	}
}

func (d *doctor) credentials(ctx context.Context) bool {
	resp, err := d.client.request(ctx, http.MethodGet, "/openvidu/api/config", nil)
	if err != nil {
		d.add("fail", "secret", "%v", err)
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	d.clock(resp.Header.Get("Date"))
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		d.add("fail", "secret", "refused: set OPENVIDU_SECRET to the server's")
		return false
	case resp.StatusCode != http.StatusOK:
		d.add("fail", "secret", "the server answers %d: is this an OpenVidu 2 API?", resp.StatusCode)
		return false
	case d.client.secret.Equal("MY_SECRET"):
		d.add("warn", "secret", "MY_SECRET is known to everybody: never with a public address")
	case d.client.secret.Len() < 16:
		d.add("warn", "secret", "shorter than 16 characters: it can be guessed")
	default:
		d.add("ok", "secret", "accepted")
	}
	return true
}

// clock compares with the server's: tokens of TURN servers end by it.
func (d *doctor) clock(date string) {
	t, err := http.ParseTime(date)
	if err != nil {
		return
	}
	if skew := time.Since(t).Round(time.Second); skew.Abs() > 10*time.Second {
		d.add("warn", "clock", "this machine and the server differ by %v", skew)
	}
}

func (d *doctor) ready(ctx context.Context) {
	resp, err := d.client.request(ctx, http.MethodGet, "/ready", nil)
	if err != nil {
		d.add("fail", "ready", "%v", err)
		return
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		d.add("ok", "ready", "takes new sessions")
	case http.StatusServiceUnavailable:
		d.add("warn", "ready", "is stopping or starting: no new sessions")
	default:
		d.add("warn", "ready", "not told (HTTP %d): an older or another server", resp.StatusCode)
	}
}

func (d *doctor) settings(ctx context.Context) {
	var c struct {
		Version   string `json:"VERSION"`
		Domain    string `json:"DOMAIN_OR_PUBLIC_IP"`
		URL       string `json:"OPENVIDU_PUBLICURL"`
		Recording bool   `json:"OPENVIDU_RECORDING"`
	}
	if err := d.client.api(ctx, http.MethodGet, "/config", nil, &c); err != nil {
		d.add("fail", "settings", "%v", err)
		return
	}
	d.add("ok", "server", "speaks OpenVidu %s, clients use %s", c.Version, c.URL)
	if c.Domain == "localhost" {
		d.add("warn", "address", "developer mode: only browsers on the server's own machine can join. Set DOMAIN_OR_PUBLIC_IP for others")
	}
	if c.Recording {
		d.add("ok", "recording", "on")
	} else {
		d.add("ok", "recording", "off (OPENVIDU_RECORDING=true switches it on)")
	}
}

// machine checks this computer, when the server is on it.
func (d *doctor) machine() {
	if ip := net.ParseIP(d.client.base.Hostname()); d.client.base.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return
	}
	limit, warning, err := process.OpenFiles()
	switch {
	case err != nil:
		d.add("warn", "open files", "in this shell: %v", err)
	case warning != "":
		d.add("warn", "open files", "in this shell: %s", warning)
	default:
		d.add("ok", "open files", "%d", limit)
	}
}
