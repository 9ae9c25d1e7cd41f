package uri

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/pipeline"
)

const (
	// rtspTimeout bounds each answer of an RTSP server.
	rtspTimeout = 10 * time.Second
	// firstAnswer bounds the wait for the first one, with TLS's handshake.
	firstAnswer = 5 * time.Second
	// byeTime is how long closing may take.
	byeTime = time.Second
	// rtspSilence is how long no packet may come over UDP before TCP is tried.
	rtspSilence = 3 * time.Second
)

// rtspMedium receives live media of an RTSP server (RFC 2326). Packets go on as
// they come; a jitter buffer is each receiver's own.
type rtspMedium struct {
	b      *playback
	client *gortsplib.Client
	dial   *rtspDialer
	log    *slog.Logger
	began  time.Time
	paused atomic.Bool
	tracks []*rtspTrack
	stop   sync.Once
	wg     sync.WaitGroup
}

// openRTSP connects, asks for the first picture and the first sound that can be
// used, and begins to play. networkCache is how long it waits for UDP packets.
func openRTSP(b *playback, policy *fetch.Policy, uri string, epoch time.Time, cache time.Duration, log *slog.Logger) (*rtspMedium, error) {
	if _, err := fetch.Parse(uri); err != nil {
		return nil, err
	}
	u, err := base.ParseURL(uri)
	if err != nil {
		return nil, fmt.Errorf("play %s: %w", fetch.Redact(uri), fetch.ErrRefused)
	}
	m := &rtspMedium{b: b, log: log, began: time.Now()}
	dial := &rtspDialer{policy: policy, host: u.Hostname(), credentials: u.User != nil}
	m.dial = dial
	m.client = &gortsplib.Client{
		ReadTimeout: rtspTimeout, WriteTimeout: rtspTimeout, InitialUDPReadTimeout: max(rtspSilence, cache),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}, UserAgent: "govidu",
		DialContext: dial.dial, OnResponse: dial.answered,
		OnDecodeError:     func(err error) { log.Debug("rtsp packet", "err", err) },
		OnPacketLost:      func(err error) { log.Debug("rtsp loss", "err", err) },
		OnTransportSwitch: func(err error) { log.Info("rtsp goes on over TCP", "err", err) },
	}
	if err := m.client.Start(u.Scheme, u.Host); err != nil {
		return nil, fmt.Errorf("play %s: %w", fetch.Redact(uri), err)
	}
	ends := context.AfterFunc(b.ctx, dial.abort) // stop while it connects
	err = m.connect(u, epoch)
	if !ends() || err != nil {
		late := time.AfterFunc(byeTime, dial.abort)
		m.client.Close()
		late.Stop()
		return nil, fmt.Errorf("play %s: %w", fetch.Redact(uri), errors.Join(err, b.ctx.Err()))
	}
	m.wg.Go(func() {
		err := m.client.Wait()
		if len(m.tracks) > 0 {
			b.fail(errorURI, fmt.Errorf("play %s: %w", fetch.Redact(uri), err))
		}
	})
	return m, nil
}

func (m *rtspMedium) connect(u *base.URL, epoch time.Time) error {
	sender := pipeline.NewSenderClock(epoch)
	desc, _, err := m.client.Describe(u)
	if err != nil {
		return err
	}
	have := map[pipeline.Kind]bool{}
	for _, media := range desc.Medias {
		if media.IsBackChannel {
			continue
		}
		for _, f := range media.Formats {
			t := newRTSPTrack(f, sender)
			if t == nil || have[t.format.Kind] {
				continue
			}
			if _, err := m.client.Setup(desc.BaseURL, media, 0, 0); err != nil {
				return err
			}
			have[t.format.Kind] = true
			t.media = media
			m.tracks = append(m.tracks, t)
			m.client.OnPacketRTP(media, f, func(p *rtp.Packet) { m.packet(t, p) })
			if out := m.b.outs[t.format.Kind]; out != nil {
				out.SetProducer(rtspProducer{m, t})
				out.Announce(t.format)
			}
			break
		}
	}
	if len(m.tracks) == 0 {
		return errors.New("the server offers no media that can be used")
	}
	_, err = m.client.Play(nil)
	return err
}

// packet takes one RTP packet on the client's goroutine.
func (m *rtspMedium) packet(t *rtspTrack, p *rtp.Packet) {
	defer func() {
		if r := recover(); r != nil {
			m.log.Error("panic in rtsp", "err", r, "stack", string(debug.Stack()))
			m.b.fail(errorStream, fmt.Errorf("panic: %v", r))
		}
	}()
	if m.paused.Load() {
		return
	}
	now := time.Now()
	if ntp, ok := m.client.PacketNTP(t.media, p); ok {
		t.clock.Report(p.Timestamp, ntp, now)
	}
	t.ssrc.Store(p.SSRC)
	t.take(p, now, m.b.push)
}

// rtspProducer passes keyframe wishes to the camera (RFC 4585 §6.3.1); most
// heed them, the others send keyframes every few seconds.
type rtspProducer struct {
	m *rtspMedium
	t *rtspTrack
}

// Feedback implements pipeline.Producer.
func (p rtspProducer) Feedback(f pipeline.Feedback) {
	ssrc := p.t.ssrc.Load()
	if f.Wish != pipeline.WishKeyFrame || p.t.format.Kind != pipeline.Video || ssrc == 0 || p.m.b.over.Load() {
		return
	}
	if err := p.m.client.WritePacketRTCP(p.t.media, &rtcp.PictureLossIndication{MediaSSRC: ssrc}); err != nil {
		p.m.log.Debug("rtsp keyframe request", "err", err)
	}
}

// Play implements medium.
func (m *rtspMedium) Play(context.Context) error { m.paused.Store(false); return nil }

// Pause implements medium: live media is not kept, so what comes is dropped.
func (m *rtspMedium) Pause(context.Context) error { m.paused.Store(true); return nil }

// Seek implements medium.
func (m *rtspMedium) Seek(context.Context, int64) error { return errors.New("live media") }

// Position implements medium: the time since the beginning.
func (m *rtspMedium) Position(context.Context) (int64, error) {
	return time.Since(m.began).Milliseconds(), nil
}

// Info implements medium.
func (m *rtspMedium) Info() VideoInfo {
	return VideoInfo{Duration: -1, SeekableInit: 0, SeekableEnd: -1}
}

// Dot implements medium.
func (m *rtspMedium) Dot(context.Context) (string, error) {
	text := "digraph player {\n  rankdir=LR;\n  rtsp [shape=box, label=\"RTSP client\"];\n"
	for i, t := range m.tracks {
		text += fmt.Sprintf("  t%d [shape=box, label=%q];\n  rtsp -> t%d;\n", i, fmt.Sprintf("%s %s %d Hz", t.format.Kind, t.format.Codec, t.format.ClockRate), i)
	}
	return text + "}\n", nil
}

// Close implements medium.
func (m *rtspMedium) Close() {
	m.stop.Do(func() {
		// It says good-bye, if the server listens.
		late := time.AfterFunc(byeTime, m.dial.abort)
		m.client.Close()
		late.Stop()
		for _, t := range m.tracks {
			if out := m.b.outs[t.format.Kind]; out != nil {
				out.SetProducer(nil)
			}
		}
		m.wg.Wait()
	})
}

// rtspDialer dials the server and keeps everything to the address that was
// dialled.
type rtspDialer struct {
	policy      *fetch.Policy
	host        string
	credentials bool

	mu    sync.Mutex // leaf
	dials int
	conn  net.Conn // the latest
}

func (d *rtspDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", fetch.ErrRefused)
	}
	d.mu.Lock()
	d.dials++
	n := d.dials
	d.mu.Unlock()
	// One connection, one more for TCP instead of UDP, and the redirects.
	if n > fetch.MaxRedirects+2 {
		return nil, fmt.Errorf("more than %d redirects: %w", fetch.MaxRedirects, fetch.ErrRefused)
	}
	if d.credentials && host != d.host {
		return nil, fmt.Errorf("redirect to another host would give it the credentials: %w", fetch.ErrRefused)
	}
	conn, err := d.policy.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	// The client bounds what it waits for, but not a TLS handshake.
	if err := conn.SetReadDeadline(time.Now().Add(firstAnswer)); err != nil {
		conn.Close()
		return nil, err
	}
	d.mu.Lock()
	d.conn = conn
	d.mu.Unlock()
	return conn, nil
}

// abort ends the connection, and with it whatever the client waits for.
func (d *rtspDialer) abort() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		d.conn.Close()
	}
}

// answered takes an answer before the client reads it.
func (d *rtspDialer) answered(r *base.Response) {
	d.mu.Lock()
	if d.conn != nil {
		d.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // a dead connection tells itself
	}
	d.mu.Unlock()
	plain(r)
}

// plain takes the parameter source out of an answer to SETUP: the client would
// send its datagrams there, wherever that is.
func plain(r *base.Response) {
	for i, v := range r.Header["Transport"] {
		parts := strings.Split(v, ";")
		r.Header["Transport"][i] = strings.Join(slices.DeleteFunc(parts, func(p string) bool {
			return strings.HasPrefix(strings.ToLower(strings.TrimSpace(p)), "source")
		}), ";")
	}
}
