package dtls

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// opened is OpenSSL as the other end, over a UDP socket.
type opened struct {
	*party
	out *printed
	cmd *exec.Cmd
	in  interface{ Close() error }
}

// printed is what a command has printed so far.
type printed struct {
	mu sync.Mutex
	b  []byte
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.b = append(p.b, b...)
	return len(b), nil
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.b)
}

// openSSL runs "openssl s_client" or s_server against a Conn.
func openSSL(t *testing.T, weAreClient bool, args ...string) *opened {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is not installed: make test installs it")
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	der := must(x509.MarshalPKCS8PrivateKey(theirs().PrivateKey))
	for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: theirs().Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	socket := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	t.Cleanup(func() { _ = socket.Close() })
	port := socket.LocalAddr().(*net.UDPAddr).Port
	common := []string{"-dtls1_2", "-cert", cert, "-key", key, "-use_srtp", "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM",
		"-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "60", "-mtu", "1200"}
	var peer net.Addr
	if weAreClient {
		other := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
		peer = other.LocalAddr()
		_ = other.Close()
		common = append([]string{"s_server", "-Verify", "1", "-accept", peer.String()}, common...)
	} else {
		common = append([]string{"s_client", "-connect", fmt.Sprintf("127.0.0.1:%d", port)}, common...)
	}
	o := &opened{out: &printed{}, cmd: exec.Command(path, append(common, args...)...)}
	o.cmd.Stdout, o.cmd.Stderr = o.out, o.out
	o.in = must(o.cmd.StdinPipe())
	address := make(chan net.Addr, 1)
	if peer != nil {
		address <- peer
	}
	o.party = newParty(t, func(c *Config) {
		c.Client = weAreClient
		c.Write = func(b []byte) error {
			to := <-address
			address <- to
			_, err := socket.WriteTo(b, to)
			return err
		}
	})
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.cmd.Process.Kill(); _ = o.cmd.Wait() })
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 2048)
		for first := peer == nil; ; {
			n, from, err := socket.ReadFrom(b)
			if err != nil {
				return
			}
			if first {
				first = false
				address <- from
			}
			o.Handle(b[:n])
		}
	}()
	t.Cleanup(func() { _ = socket.Close(); <-read })
	o.Start()
	return o
}

var (
	material = regexp.MustCompile(`Keying material: ([0-9A-F]{120})\n`)
	srtpLine = regexp.MustCompile(`SRTP Extension negotiated, profile=(\S+)`)
)

// TestOpenSSL shakes hands with OpenSSL in both roles, compares the exported
// keys, and hears its close_notify.
func TestOpenSSL(t *testing.T) {
	for _, x := range []struct {
		name   string
		client bool
		args   []string
	}{
		{"server", false, nil},
		{"server, P-256", false, []string{"-curves", "P-256"}},
		{"server, many curves", false, []string{"-curves", "P-521:X448:P-384:P-256"}},
		{"server, AES-256", false, []string{"-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"}},
		{"client", true, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			o := openSSL(t, x.client, x.args...)
			got := o.await(t)
			if got.err != nil {
				t.Fatalf("%v\n%s", got.err, o.out)
			}
			if err := o.Retire(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "OpenSSL is content", func() bool { return material.MatchString(o.out.String()) })
			if !x.client {
				_ = o.in.Close() // the end of its input has s_client say close_notify
				<-o.closed
			}
			m := material.FindStringSubmatch(o.out.String())
			p := srtpLine.FindStringSubmatch(o.out.String())
			if m == nil || p == nil {
				t.Fatalf("no keys in its output:\n%s", o.out)
			}
			want := must(hex.DecodeString(m[1]))
			kl, sl := len(got.keys.ReadKey), len(got.keys.ReadSalt)
			ck, sk, cs, ss := got.keys.ReadKey, got.keys.WriteKey, got.keys.ReadSalt, got.keys.WriteSalt
			if x.client {
				ck, sk, cs, ss = sk, ck, ss, cs
			}
			if have := bytes.Join([][]byte{ck, sk, cs, ss}, nil); kl+sl == 0 || !bytes.Equal(have, want[:2*(kl+sl)]) {
				t.Errorf("keys differ:\n%x\n%x", have, want)
			}
			if gcm := strings.Contains(p[1], "AEAD_AES_128_GCM"); gcm != (got.keys.Profile == AEADAES128GCM) || !x.client && !gcm {
				t.Errorf("profile %s, ours %#x", p[1], got.keys.Profile)
			}
		})
	}
}

// TestOpenSSLRefused has OpenSSL offer nothing we take.
func TestOpenSSLRefused(t *testing.T) {
	for _, cipher := range []string{"ECDHE-ECDSA-AES128-SHA", "eNULL:@SECLEVEL=0"} {
		o := openSSL(t, false, "-cipher", cipher)
		o.mu.Lock()
		o.timer.Reset(300 * time.Millisecond)
		o.mu.Unlock()
		if got := o.await(t); got.err == nil {
			t.Errorf("%s: no error", cipher)
		}
	}
}
