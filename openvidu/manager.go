package openvidu

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/cluster"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
)

// closingWait is how long CreateSession waits for a closing session of its id.
const closingWait = 15 * time.Second

// Manager holds the sessions of this server. All methods are safe for concurrent
// use; what they return are copies. They fail with ErrStopped after Close.
type Manager struct {
	opts     Options
	store    cluster.Store
	ownStore *cluster.Memory // closed with the Manager; nil when the store was given
	stop     chan struct{}
	collector,
	closers, // sessions being finished
	watchers sync.WaitGroup // of media nodes

	mu       sync.Mutex
	stopped  bool
	sessions map[string]*session
	privates map[string]*Connection
	passes   map[string]*pass // by secret
	rec      Recorder
}

// New makes a Manager and starts its collector of abandoned sessions; Close ends it.
func New(opts Options) (*Manager, error) {
	if opts.Media == nil {
		return nil, errors.New("make room manager: no media nodes given")
	}
	opts.setDefaults()
	m := &Manager{
		opts: opts, store: opts.Store, stop: make(chan struct{}),
		sessions: map[string]*session{}, privates: map[string]*Connection{}, passes: map[string]*pass{},
	}
	if m.store == nil {
		m.ownStore = cluster.NewMemory()
		m.store = m.ownStore
	}
	if opts.GarbageInterval > 0 && opts.GarbageThreshold > 0 {
		m.collector.Go(m.collect)
	}
	return m, nil
}

// Close evicts everybody with openviduServerStopped, closes all sessions and
// waits for their goroutines; recordings are stopped through the Recorder.
func (m *Manager) Close() error {
	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		m.closers.Wait()
		return nil
	}
	m.stopped = true
	list := m.list()
	m.mu.Unlock()
	close(m.stop)
	m.collector.Wait()
	for _, s := range list {
		s.post(func() { s.startClosing(ReasonServerStopped) })
	}
	for _, s := range list {
		<-s.gone
	}
	m.closers.Wait()
	m.watchers.Wait()
	if m.ownStore != nil {
		return m.ownStore.Close()
	}
	return nil
}

// SetRecorder installs the recorder. Call it before the first session.
func (m *Manager) SetRecorder(r Recorder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rec = r
}

func (m *Manager) recorder() Recorder {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec
}

// list gives the sessions, oldest first. Under mu.
func (m *Manager) list() []*session {
	out := make([]*session, 0, len(m.sessions))
	for _, s := range m.sessions {
		out = append(out, s)
	}
	sortSessions(out)
	return out
}

func (m *Manager) find(id string) *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[id]
}

// get gives a session for a call of the API.
func (m *Manager) get(id string) (*session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return nil, ErrStopped
	}
	s := m.sessions[id]
	if s == nil {
		return nil, errf(CodeRoomNotFound, ErrSessionNotFound, "session %s not found", short(id))
	}
	return s, nil
}

func (m *Manager) forget(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[s.id] == s {
		delete(m.sessions, s.id)
	}
}

func (m *Manager) keepPrivate(c *Connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.privates[c.privateID] = c
}

func (m *Manager) dropPrivate(c *Connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.privates[c.privateID] == c {
		delete(m.privates, c.privateID)
	}
}

func (m *Manager) byPrivate(id string) *Connection {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.privates[id]
}

// collect removes, every GarbageInterval, sessions that nobody has joined for
// GarbageThreshold. They tell no event: they never told sessionCreated.
func (m *Manager) collect() {
	tick := time.NewTicker(m.opts.GarbageInterval)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
		}
		m.mu.Lock()
		list := m.list()
		m.mu.Unlock()
		for _, s := range list {
			s.post(func() {
				if !s.active && time.Since(s.createdAt) > m.opts.GarbageThreshold {
					s.log.Info("abandoned session removed")
					s.startClosing(ReasonAutomaticStop)
				}
			})
		}
	}
}

// CreateSession makes a session. It fails with ErrSessionExists when the custom
// id is in use, ErrInvalid for a bad property, ErrLimit, ErrBusy. When a session of that
// id is just closing, it waits for that (at most 15 s, or until ctx ends).
func (m *Manager) CreateSession(ctx context.Context, p SessionProperties) (SessionInfo, error) {
	if err := m.busy("session"); err != nil {
		return SessionInfo{}, err
	}
	p, err := m.resolve(p)
	if err != nil {
		return SessionInfo{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, closingWait)
	defer cancel()
	for {
		s, old, err := m.add(p)
		if err != nil {
			return SessionInfo{}, err
		}
		if s != nil {
			s.log.Info("session created")
			return m.view(ctx, s, ViewOptions{})
		}
		exists := errf(CodeRoomCannotBeCreated, ErrSessionExists, "session %s exists already", old.id)
		if err := old.do(ctx, func() error {
			if old.closing {
				return nil
			}
			return exists
		}); errors.Is(err, ErrSessionExists) {
			return SessionInfo{}, err
		}
		select {
		case <-old.gone:
		case <-ctx.Done():
			return SessionInfo{}, exists
		}
	}
}

// add makes a session of resolved properties, or gives the one that has its id.
func (m *Manager) add(p SessionProperties) (s, old *session, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := p.CustomSessionID
	for id == "" || p.CustomSessionID == "" && m.sessions[id] != nil {
		id = auth.NewSessionID()
	}
	switch {
	case m.stopped:
		return nil, nil, ErrStopped
	case m.sessions[id] != nil:
		return nil, m.sessions[id], nil
	case len(m.sessions) >= m.opts.Limits.Sessions:
		return nil, nil, errf(CodeRoomCannotBeCreated, ErrLimit, "server holds %d sessions already", len(m.sessions))
	}
	s = newSession(m, id, p)
	m.sessions[id] = s
	return s, nil, nil
}

// resolve checks properties and fills the defaults in.
func (m *Manager) resolve(p SessionProperties) (SessionProperties, error) {
	def(&p.MediaMode, MediaRouted)
	def(&p.RecordingMode, RecordingManual)
	def(&p.ForcedVideoCodec, m.opts.ForcedVideoCodec)
	switch {
	case p.CustomSessionID != "" && !auth.ValidSessionID(p.CustomSessionID):
		return p, errf(CodeSessionIDInvalid, ErrInvalid, "customSessionId has characters other than letters, digits, - and _, or more than 128")
	case p.MediaMode != MediaRouted && p.MediaMode != MediaRelayed:
		return p, errf(CodeRoomCannotBeCreated, ErrInvalid, "unknown mediaMode")
	case p.RecordingMode != RecordingManual && p.RecordingMode != RecordingAlways:
		return p, errf(CodeRoomCannotBeCreated, ErrInvalid, "unknown recordingMode")
	case p.LastN < 0 || p.LastN > maxLastN:
		return p, errf(CodeRoomCannotBeCreated, ErrInvalid, "lastN is from 0 (all) to %d", maxLastN)
	case !slices.Contains([]string{CodecPreferred, CodecNone, CodecVP8, CodecVP9, CodecH264}, p.ForcedVideoCodec):
		return p, errf(CodeRoomCannotBeCreated, ErrInvalid, "unknown forcedVideoCodec")
	}
	transcode := m.opts.AllowTranscoding
	if p.AllowTranscoding != nil {
		transcode = *p.AllowTranscoding
	}
	p.AllowTranscoding = &transcode
	rec := DefaultRecordingProperties()
	if p.DefaultRecordingProperties != nil {
		rec = *p.DefaultRecordingProperties
	}
	p.DefaultRecordingProperties = &rec
	return p, nil
}

func (m *Manager) view(ctx context.Context, s *session, view ViewOptions) (info SessionInfo, err error) {
	err = s.do(ctx, func() error {
		info = s.info(view)
		return nil
	})
	return info, err
}

// Session gives one session, active or not, or ErrSessionNotFound.
func (m *Manager) Session(ctx context.Context, id string, view ViewOptions) (SessionInfo, error) {
	s, err := m.get(id)
	if err != nil {
		return SessionInfo{}, err
	}
	return m.view(ctx, s, view)
}

// Sessions gives all sessions, oldest first.
func (m *Manager) Sessions(ctx context.Context, view ViewOptions) ([]SessionInfo, error) {
	m.mu.Lock()
	list, stopped := m.list(), m.stopped
	m.mu.Unlock()
	if stopped {
		return nil, ErrStopped
	}
	out := make([]SessionInfo, 0, len(list))
	for _, s := range list {
		switch info, err := m.view(ctx, s, view); {
		case err == nil:
			out = append(out, info)
		case !errors.Is(err, ErrSessionNotFound): // closed meanwhile
			return nil, err
		}
	}
	return out, nil
}

// CloseSession evicts everybody with the reason, stops its recording and removes
// the session; it returns when all that is done, or ctx ended (the closing goes
// on). ErrSessionNotFound for an unknown one.
func (m *Manager) CloseSession(ctx context.Context, id string, reason Reason) error {
	s, err := m.get(id)
	if err != nil {
		return err
	}
	if err := s.do(ctx, func() error {
		s.startClosing(reason)
		return nil
	}); err != nil && !errors.Is(err, ErrSessionNotFound) {
		return err
	}
	select {
	case <-s.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unpublish ends a stream for the reason (forceUnpublishByServer for the API).
// ErrSessionNotFound, ErrStreamNotFound (also for a session not active),
// ErrIPCamStream.
func (m *Manager) Unpublish(ctx context.Context, sessionID, streamID string, reason Reason) error {
	s, err := m.get(sessionID)
	if err != nil {
		return err
	}
	return s.do(ctx, func() error {
		st, err := s.find(streamID)
		if err != nil {
			return err
		}
		s.forceUnpublish(st, reason)
		return nil
	})
}

// Signal sends a message to connections of a session: ErrSessionNotFound,
// ErrSessionNotActive, ErrSignalTarget (nothing is sent then), ErrLimit.
func (m *Manager) Signal(ctx context.Context, r SignalRequest) error {
	s, err := m.get(r.SessionID)
	if err != nil {
		return err
	}
	if r.Data != nil && len(*r.Data) > m.opts.Limits.DataBytes || r.Type != nil && len(*r.Type) > m.opts.Limits.DataBytes {
		return errf(CodeSignalFormat, ErrInvalid, "signal has more than %d bytes", m.opts.Limits.DataBytes)
	}
	return s.do(ctx, func() error {
		if s.closing || s.real() == 0 {
			return errf(CodeRoomGeneric, ErrSessionNotActive, "session %s has no participant", s.id)
		}
		return s.signal(nil, r.To, r.Type, r.Type, r.Data)
	})
}

// RecordingTarget gives what a recording starts from: ErrSessionNotFound.
func (m *Manager) RecordingTarget(ctx context.Context, sessionID string) (t RecordingTarget, err error) {
	s, err := m.get(sessionID)
	if err != nil {
		return t, err
	}
	err = s.do(ctx, func() error {
		t = RecordingTarget{
			SessionID: s.id, UniqueID: s.uniqueID, Defaults: *s.props.DefaultRecordingProperties,
			MediaMode: s.props.MediaMode, RecordingMode: s.props.RecordingMode, Active: s.active && s.real() > 0,
		}
		if s.recording != nil {
			t.RecordingID = s.recording.ID
		}
		for _, c := range s.conns {
			if c.pub != nil && c.pub.published {
				info := c.pub.info()
				t.Media, t.Pipeline = info.Media, info.Pipeline
				t.Streams = append(t.Streams, info)
			}
		}
		return nil
	})
	return t, err
}

// RecordingMark is the argument of SetRecording. Reason matters when On is false.
type RecordingMark struct {
	ID, Name string
	On       bool
	Reason   Reason
}

// SetRecording marks a session as recorded by recording id (on), or as no longer
// recorded, and tells the clients whose role OPENVIDU_RECORDING_NOTIFICATION
// names. Marking a recorded session, or unmarking by another id, is
// ErrInvalid; ErrSessionNotFound for an unknown session. A session whose last
// participant left while it was recorded is closed by the unmarking, with the
// reason, without waiting for it.
func (m *Manager) SetRecording(ctx context.Context, sessionID string, r RecordingMark) error {
	s := m.find(sessionID)
	if s == nil {
		return errf(CodeRoomNotFound, ErrSessionNotFound, "session %s not found", short(sessionID))
	}
	return s.do(ctx, func() error {
		var n *Notification
		switch {
		case r.On && s.recording != nil:
			return errf(CodeRoomGeneric, ErrInvalid, "session %s is being recorded already", s.id)
		case r.On && s.closing:
			return errf(CodeRoomClosed, ErrSessionClosing, "session %s is closing", s.id)
		case r.On:
			s.recording = &r
			n = notification("recordingStarted", paramsRecordingStarted{r.ID, r.Name})
		case s.recording == nil || s.recording.ID != r.ID:
			return errf(CodeRoomGeneric, ErrInvalid, "session %s is not recorded by %s", s.id, short(r.ID))
		default:
			n = notification("recordingStopped", paramsRecordingStopped{r.ID, s.recording.Name, r.Reason})
			s.recording = nil
		}
		for _, c := range s.conns {
			if c.hearsRecordings() {
				c.send(n)
			}
		}
		if !r.On && s.emptied != "" {
			reason := s.emptied
			if r.Reason == ReasonAutomaticStop {
				reason = r.Reason
			}
			s.startClosing(reason)
		}
		return nil
	})
}

// Emit puts an event (recordingStatusChanged) in the session's order, or
// straight into the sink when the session is gone.
func (m *Manager) Emit(ctx context.Context, sessionID string, e events.Event) {
	e.SessionID = sessionID
	if s := m.find(sessionID); s != nil {
		if s.do(ctx, func() error { s.forward(e); return nil }) == nil {
			return
		}
	}
	if m.opts.Events == nil {
		return
	}
	if err := m.opts.Events.Emit(ctx, e); err != nil {
		m.opts.Log.Error("event sink refused an event", "event", e.Name, obs.AttrSession, sessionID, obs.AttrErr, err)
	}
}
