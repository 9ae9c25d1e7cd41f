package webpage

import (
	"cmp"
	"context"
	"encoding/base64"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/recording"
	"github.com/govidu/govidu/openvidu/studio"
)

// Rooms lets pages into sessions; *openvidu.Manager is one.
type Rooms interface {
	// RecorderPass makes a secret that is good for one joinRoom of the session, as a
	// recorder nobody sees. end voids it, or ends the connection that used it.
	RecorderPass(ctx context.Context, sessionID string) (pass string, end func(context.Context), err error)
}

var (
	_ Rooms           = (*openvidu.Manager)(nil)
	_ recording.Pages = (*Service)(nil)
)

// Options configure a Service. Rooms, Log and BaseURL are required.
type Options struct {
	Rooms Rooms
	Log   *slog.Logger
	// Chromium is the browser's path; "" looks in PATH.
	Chromium string
	// BaseURL is where browsers reach this server, https://host[:port]/: the public
	// URL, or OPENVIDU_RECORDING_COMPOSED_URL. It is always dialled; other addresses
	// as Dial likes.
	BaseURL string
	// LayoutsPassword opens the files of layouts at our own door.
	LayoutsPassword secret.Secret
	// TrustedKey is the base64 SHA-256 of the public key of our own certificate when
	// no authority vouches for it.
	TrustedKey string
	// Dial connects pages to the network, under the server's policy; a net.Dialer
	// when nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TempDir holds the browsers' profiles; os.TempDir() by default. One with a long
	// name is replaced by /tmp.
	TempDir string
	// MaxPages is how many are shown at once; by default one per two CPUs.
	MaxPages int
	// MaxMemory is what one browser may hold in bytes before it is replaced, 3 GiB by
	// default.
	MaxMemory int64

	OpenTimeout time.Duration // from the start of the browser to its first picture, 25 s
	CallTimeout time.Duration // one call to the media node, 10 s
	// AliveTimeout is how long a page may take to answer before it is replaced, 5 s.
	AliveTimeout time.Duration
}

// maxTempDir is how long the name of TempDir may be, in bytes: Chromium makes
// sockets below it, whose names have 108 at most.
const maxTempDir = 40

// Service shows pages. Safe for concurrent use; Close ends it.
type Service struct {
	opts   Options
	proxy  *proxy
	wg     sync.WaitGroup
	mu     sync.Mutex // leaf
	closed bool
	pages  map[*page]struct{}
}

// New makes a service and removes what a dead process left of profiles. Errors:
// the proxy's port.
func New(o Options) (*Service, error) {
	o.TempDir = cmp.Or(o.TempDir, os.TempDir())
	if len(o.TempDir) > maxTempDir {
		o.TempDir = "/tmp"
	}
	o.MaxPages = cmp.Or(o.MaxPages, max(1, runtime.NumCPU()/2))
	o.MaxMemory = cmp.Or(o.MaxMemory, 3<<30)
	o.OpenTimeout = cmp.Or(o.OpenTimeout, 25*time.Second)
	o.CallTimeout = cmp.Or(o.CallTimeout, 10*time.Second)
	o.AliveTimeout = cmp.Or(o.AliveTimeout, 5*time.Second)
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/") + "/"
	direct := (&net.Dialer{Timeout: dialTimeout}).DialContext
	dial := o.Dial
	if dial == nil {
		dial = direct
	}
	own := hostPort(o.BaseURL)
	p, err := newProxy(func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == own {
			return direct(ctx, network, address)
		}
		return dial(ctx, network, address)
	}, o.Log)
	if err != nil {
		return nil, err
	}
	sweepProfiles(o.TempDir)
	return &Service{opts: o, proxy: p, pages: map[*page]struct{}{}}, nil
}

// hostPort is what a URL's connections are dialled as.
func hostPort(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// Available implements recording.Pages.
func (s *Service) Available() error {
	if _, err := find(s.opts.Chromium); err != nil {
		return &studio.Error{Kind: studio.ErrPage, Err: err,
			Text: "the customLayout is a web page: those need Chromium, which is not installed on this server; install it, or use a layout.json"}
	}
	return nil
}

// layouts is the address below which custom layouts are served.
func (s *Service) layouts() string { return s.opts.BaseURL + "openvidu/layouts/" }

func (s *Service) authorization() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("OPENVIDUAPP:"+s.opts.LayoutsPassword.Reveal()))
}

// address is what is opened (§8.1): a layout of ours always gets session and
// secret; a URL elsewhere gets them when it has a query already, as it ever was.
func (s *Service) address(p recording.PageSpec, pass string) (string, error) {
	query := url.Values{"sessionId": {p.SessionID}, "secret": {pass}}.Encode()
	if p.URL == "" {
		u, err := url.Parse(s.layouts())
		if err != nil {
			return "", err
		}
		u = u.JoinPath(p.Folder, "index.html")
		u.RawQuery = query
		return u.String(), nil
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return "", err
	}
	if u.RawQuery != "" {
		u.RawQuery += "&" + query
	}
	return u.String(), nil
}

// Open implements recording.Pages. Errors are *studio.Error: of kind ErrPage when
// there is no Chromium or the page cannot be shown, ErrNoCapacity when MaxPages are
// shown, ErrMedia and ErrLost of the media node, ErrClosed.
func (s *Service) Open(ctx context.Context, spec recording.PageSpec) (recording.Page, error) {
	if err := s.Available(); err != nil {
		return nil, err
	}
	p := newPage(s, spec)
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return nil, &studio.Error{Kind: studio.ErrClosed, Text: "the server is stopping"}
	case len(s.pages) >= s.opts.MaxPages:
		s.mu.Unlock()
		return nil, &studio.Error{Kind: studio.ErrNoCapacity, Text: "this server shows as many web pages as it can, try again later or use a layout.json"}
	}
	s.pages[p] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	if err := p.begin(ctx); err != nil {
		_ = p.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return p, nil
}

// Count is how many pages are shown.
func (s *Service) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pages)
}

func (s *Service) forget(p *page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pages, p)
	s.wg.Done()
}

// Close ends every page, and the proxy.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	var all []*page
	for p := range s.pages {
		all = append(all, p)
	}
	s.mu.Unlock()
	for _, p := range all {
		s.wg.Go(func() { _ = p.Close(context.Background()) })
	}
	s.wg.Wait()
	s.proxy.close()
	return nil
}
