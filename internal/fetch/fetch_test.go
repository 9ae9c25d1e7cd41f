package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// names is a Resolver that answers from a table; each further question gets the
// next row, as a rebinding name server does it.
type names struct {
	table map[string][][]string
	asked map[string]int
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	rows := n.table[host]
	if rows == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if n.asked == nil {
		n.asked = map[string]int{}
	}
	row := rows[min(n.asked[host], len(rows)-1)]
	n.asked[host]++
	var out []netip.Addr
	for _, s := range row {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

// counted is a policy that dials nothing and remembers what it would have dialled.
func counted(allowPrivate bool) (p *Policy, dialled *[]string) {
	dialled = new([]string)
	p = &Policy{AllowPrivate: allowPrivate, Resolver: &names{table: map[string][][]string{
		"loopback.test": {{"127.0.0.1"}}, "six.test": {{"::1"}}, "mapped.test": {{"::ffff:127.0.0.1"}},
		"private.test": {{"10.1.2.3"}}, "both.test": {{"192.168.1.1", "fd00::1"}}, "meta.test": {{"169.254.169.254"}},
		"localhost": {{"127.0.0.1", "::1"}}, "localhost.localdomain": {{"127.0.0.1"}}, "metadata.google.internal": {{"169.254.169.254"}},
		"nat64.test": {{"64:ff9b::a00:1"}}, "sixtofour.test": {{"2002:7f00:1::"}}, "wide.test": {{"0.0.0.0"}},
	}}}
	p.dial = func(_ context.Context, _, address string) (net.Conn, error) {
		*dialled = append(*dialled, address)
		return nil, errors.New("dialled " + address)
	}
	return p, dialled
}

// forbidden hosts: none may be dialled by a policy without private addresses.
var forbidden = []string{
	"127.0.0.1", "127.0.0.1:8888", "127.1.2.3", "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "localhost.localdomain",
	"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.1.1:554", "100.64.0.1", "100.127.255.254",
	"198.18.0.1", "198.19.255.255", "0.0.0.0", "0.0.0.0:80", "0.1.2.3", "169.254.169.254", "169.254.0.1", "169.254.170.2",
	"192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250",
	"240.0.0.1", "255.255.255.255", "100.100.100.200", "168.63.129.16",
	"[::]", "[::]:80", "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::127.0.0.1]", "[::7f00:1]",
	"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:0.0.0.0]", "[::ffff:a9fe:a9fe]",
	"[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:7f00:1::]",
	"[2002:a9fe:a9fe::1]", "[2002:808:808::1]", "[2001::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:db8::1]", "[100::1]", "[fe80::1]",
	"[fe80::1%25eth0]", "[fe80::1%25lo]:80", "[febf::1]", "[fec0::1]", "[fc00::1]", "[fd12:3456::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "[ff02::1]",
	"[3fff::1]", "[5f00::1]",
	"2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1", "0", "0x0", "1.2.3.4.5",
	"127.0.0.1.", "0x7f000001.", "2852039166", "3232235777", "%31%32%37.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1",
	"loopback.test", "six.test", "mapped.test", "private.test", "both.test", "meta.test", "metadata.google.internal",
	"nat64.test", "sixtofour.test", "wide.test", "unknown.test", "",
	"user:pass@127.0.0.1", "127.0.0.1@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "example.com:0", "example.com:65536",
	"exa mple.com", "example.com\r\nHost:x", "example.com\t", "example.com\x00.test", "example.com\\@127.0.0.1", "[::1", "::1", "a..",
}

func TestForbiddenAddresses(t *testing.T) {
	p, dialled := counted(false)
	var urls []string
	for _, host := range forbidden {
		urls = append(urls, "http://"+host+"/a")
	}
	urls = append(urls, []string{
		"gopher://example.com/", "ftp://example.com/x", "dict://127.0.0.1:11211/", "file:///etc/passwd", "file://127.0.0.1/etc/passwd",
		"file:/etc/passwd", "jar:http://127.0.0.1!/", "ldap://127.0.0.1", "http:127.0.0.1", "http:///etc/passwd", "//127.0.0.1/", "data:text/plain,x",
		"javascript:1", "unix:///run/x.sock", "http+unix://%2Frun%2Fx/", "HTTP://127.0.0.1/", "https://[::ffff:192.168.1.1]:8443/x", "tel:1", "",
		"http://" + strings.Repeat("a", MaxURI), "http://" + strings.Repeat("a", 300) + ".test/",
	}...)
	if len(urls) < 120 {
		t.Fatalf("only %d URLs", len(urls))
	}
	for _, u := range urls {
		body, err := p.Open(t.Context(), u, 100)
		if err == nil {
			body.Close()
			t.Errorf("%q is opened", u)
			continue
		}
		if strings.Contains(err.Error(), "pass@") || strings.Contains(err.Error(), "user:") || len(err.Error()) > 600 {
			t.Errorf("%q: error tells too much: %v", u, err)
		}
	}
	if len(*dialled) > 0 {
		t.Errorf("dialled %v", *dialled)
	}
	for _, host := range []string{"93.184.216.34", "[2606:2800:220:1::1]", "[64:ff9b::5db8:d822]", "[::ffff:93.184.216.34]"} {
		if _, err := p.Open(t.Context(), "http://"+host+"/", 100); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want an attempt to dial", host, err)
		}
	}
	if want := 4; len(*dialled) != want {
		t.Errorf("dialled %v, want %d public addresses", *dialled, want)
	}
}

// With private addresses allowed the rest stays closed.
func TestPrivateAllowed(t *testing.T) {
	p, _ := counted(true)
	for addr, ok := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.0.0.1": true, "192.168.4.4": true, "::ffff:192.168.4.4": true, "100.64.0.1": true, "fd12::1": true, "8.8.8.8": true,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "fe80::1": false, "100.100.100.200": false, "fd00:ec2::254": false,
		"168.63.129.16": false, "0.0.0.0": false, "::": false, "224.0.0.1": false, "ff02::1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false,
		"fe80::1%eth0": false, "::127.0.0.1": false,
	} {
		if err := p.Check(netip.MustParseAddr(addr)); (err == nil) != ok {
			t.Errorf("%s: %v, want allowed %v", addr, err, ok)
		}
	}
}

// A name that answers a public address first and a private one later: what was
// checked is what is dialled, and nothing is looked up twice.
func TestRebinding(t *testing.T) {
	n := &names{table: map[string][][]string{"evil.test": {{"93.184.216.34"}, {"127.0.0.1"}}, "mixed.test": {{"127.0.0.1", "93.184.216.35"}}}}
	var dialled []string
	p := &Policy{Resolver: n}
	p.dial = func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return nil, errors.New("no")
	}
	for range 2 {
		p.Open(t.Context(), "http://evil.test/", 10)
	}
	p.Open(t.Context(), "http://mixed.test/", 10)
	if got := fmt.Sprint(dialled); got != "[93.184.216.34:80 93.184.216.35:80]" {
		t.Errorf("dialled %s", got)
	}
	if n.asked["evil.test"] != 2 {
		t.Errorf("looked up %d times for two fetches", n.asked["evil.test"])
	}
}

func TestRedirects(t *testing.T) {
	p := &Policy{AllowPrivate: true}
	var secret atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") })
	for from, to := range map[string]string{
		"/1": "/ok", "/2": "/1", "/3": "/2", "/4": "/3", "/loop": "/loop", "/file": "file:///etc/passwd",
		"/gopher": "gopher://127.0.0.1/", "/meta": "http://169.254.169.254/latest", "/decimal": "http://2130706433/", "/none": "http:///x",
	} {
		mux.HandleFunc(from, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Location", to); w.WriteHeader(302) })
	}
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		if u, pw, _ := r.BasicAuth(); u == "bob" && pw == "s3cr@t" {
			secret.Add(1)
		}
		http.Error(w, "no", http.StatusForbidden)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for path, ok := range map[string]bool{"/ok": true, "/1": true, "/3": true, "/4": false, "/loop": false, "/file": false, "/gopher": false, "/meta": false, "/decimal": false, "/none": false} {
		body, err := p.Open(t.Context(), srv.URL+path, 100)
		if (err == nil) != ok {
			t.Errorf("%s: %v, want %v", path, err, ok)
		}
		if err == nil {
			if b, err := io.ReadAll(body); err != nil || string(b) != "fine" {
				t.Errorf("%s: %q %v", path, b, err)
			}
			body.Close()
		}
	}
	_, err := p.Open(t.Context(), strings.Replace(srv.URL, "http://", "http://bob:s3cr%40t@", 1)+"/auth?key=hidden", 100)
	if err == nil || strings.Contains(err.Error(), "s3cr") || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "403") {
		t.Errorf("error %v", err)
	}
	if secret.Load() != 1 {
		t.Error("credentials of the URL were not sent")
	}
	if _, err := (&Policy{}).Open(t.Context(), srv.URL+"/ok", 100); !errors.Is(err, ErrRefused) {
		t.Errorf("strict policy: %v", err)
	}
}

func TestLimit(t *testing.T) {
	p := &Policy{AllowPrivate: true}
	data := bytes.Repeat([]byte("x"), 1000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		w.Write(data)
	}))
	defer srv.Close()
	for _, row := range []struct {
		path  string
		limit int64
		ok    bool
	}{{"/", 1000, true}, {"/", 999, false}, {"/chunked", 1000, true}, {"/chunked", 999, false}, {"/chunked", 0, true}} {
		body, err := p.Open(t.Context(), srv.URL+row.path, row.limit)
		var b []byte
		if err == nil {
			b, err = io.ReadAll(body)
			body.Close()
		}
		if (err == nil) != row.ok || row.ok && len(b) != 1000 || !row.ok && !errors.Is(err, ErrTooLarge) || int64(len(b)) > max(row.limit, 1000) {
			t.Errorf("%s limit %d: %d bytes, %v", row.path, row.limit, len(b), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Open(ctx, srv.URL, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// world is a root with files, and things outside that must stay unread.
func world(t *testing.T) (p *Policy, root string) {
	top := t.TempDir()
	root = filepath.Join(top, "root")
	for _, dir := range []string{root, filepath.Join(root, "sub"), filepath.Join(top, "rootless")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"root/in.webm": "inside", "root/sub/x y.webm": "inside", "secret": "outside", "rootless/in.webm": "outside"} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"abs": filepath.Join(top, "secret"), "rel": "../secret", "dir": "..", "deep": "sub/../../secret", "good": "in.webm"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	return &Policy{FileRoots: []string{root}}, root
}

func TestFile(t *testing.T) {
	p, root := world(t)
	for name, ok := range map[string]bool{
		"in.webm": true, "sub/x%20y.webm": true, "sub/x y.webm": true, "sub/../in.webm": true, "./in.webm": true, "good": true, "//in.webm": true,
		"abs": false, "rel": false, "dir/secret": false, "deep": false, "sub": false, "pipe": false, "none": false, "": false, "in.webm/": false, "../secret": false,
	} {
		f, err := p.File("file://" + root + "/" + name)
		if (err == nil) != ok {
			t.Errorf("%s: %v, want %v", name, err, ok)
		}
		if err != nil {
			if strings.Contains(err.Error(), root) {
				t.Errorf("%s: error names a path: %v", name, err)
			}
			continue
		}
		if b, _ := io.ReadAll(f); string(b) != "inside" {
			t.Errorf("%s reads %q", name, b)
		}
		f.Close()
	}
	if _, err := p.File("file://" + root + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := p.File("http://x/"); !errors.Is(err, ErrScheme) {
		t.Errorf("http: %v", err)
	}
	if _, err := (&Policy{}).File("file://" + root + "/in.webm"); !errors.Is(err, ErrRefused) {
		t.Errorf("no roots: %v", err)
	}
}

// Five hundred ways to write a path that leads out: none is read.
func TestTraversal(t *testing.T) {
	p, root := world(t)
	ups := []string{"..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..%00", "..;", "....", ". .", "%c0%ae%c0%ae", "%e0%80%ae.", "..%20", "\u2025", "%u002e%u002e", "..%0d"}
	slashes := []string{"/", "%2f", "%2F", "\\", "%5c", "%252f", "//", "/./", "%c0%af", "/%2f", ";/"}
	starts := []string{"", "sub", "sub/", "dir"}
	n := 0
	for _, up := range ups {
		for _, slash := range slashes {
			for _, start := range starts {
				for _, target := range []string{"secret", "rootless/in.webm"} {
					n++
					for _, prefix := range []string{"file://", "file://localhost"} {
						uri := prefix + root + "/" + start + slash + up + slash + up + slash + target
						if f, err := p.File(uri); err == nil {
							b, _ := io.ReadAll(f)
							f.Close()
							if string(b) != "inside" {
								t.Errorf("%q reads %q", uri, b)
							}
						}
					}
				}
			}
		}
	}
	if n < 500 {
		t.Fatalf("only %d encodings", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, host := range forbidden {
		f.Add("http://" + host + "/")
	}
	p, dialled := counted(false)
	f.Fuzz(func(t *testing.T, uri string) {
		*dialled = nil
		u, err := Parse(uri)
		if err != nil {
			return
		}
		if again, err := Parse(u.String()); err != nil || again.Host != u.Host {
			t.Errorf("%q: the canonical form %q is read otherwise: %v", uri, u, err)
		}
		if body, err := p.Open(t.Context(), uri, 10); err == nil {
			body.Close()
			t.Errorf("%q is opened", uri)
		}
		for _, d := range *dialled {
			host, _, _ := net.SplitHostPort(d)
			if a, err := netip.ParseAddr(host); err != nil || p.Check(a) != nil {
				t.Errorf("%q dials %s", uri, d)
			}
		}
	})
}
