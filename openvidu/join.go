package openvidu

import (
	"context"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/loop"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
)

// JoinRequest is joinRoom (§5.1) with what the door knows of the browser.
type JoinRequest struct {
	Token         string // the complete URL or the bare id
	Session       string
	Metadata      string
	Secret        auth.Secret
	Recorder, STT bool
	Platform      string
	SDKVersion    string // "" before 2.21
	IP            string
	FinalUserID   string
	PrivateID     string // of the socket; made up if empty
}

// Join consumes the token and puts a new connection into the session. Others hear
// participantJoined before reply is called.
func (m *Manager) Join(ctx context.Context, req JoinRequest, peer Peer, reply func(JoinResult)) (*Connection, error) {
	if len(req.Metadata) > m.opts.Limits.DataBytes {
		return nil, errf(CodeUserMetadata, ErrLimit, "metadata has %d bytes, at most %d are accepted", len(req.Metadata), m.opts.Limits.DataBytes)
	}
	ref, tokenErr := auth.ParseToken(req.Token)
	id := auth.ParseSession(req.Session)
	if id == "" {
		id = ref.SessionID
	}
	if req.Secret.Len() == 0 {
		req.Secret = ref.Secret
	}
	insecure := m.opts.AllowSecretJoin && m.opts.Secret.Equal(req.Secret.Reveal())
	own := m.passOf(id, req.Secret) // of a page we record
	req.Recorder, req.STT = own != nil || (req.Recorder || ref.Recorder) && insecure, (req.STT || ref.STT) && insecure
	s := m.find(id)
	if own == nil {
		if err := m.busy("participant"); err != nil {
			return nil, err
		}
	}
	if s == nil && insecure {
		if _, err := m.CreateSession(ctx, SessionProperties{CustomSessionID: id}); err != nil && m.find(id) == nil {
			return nil, errf(CodeRoomCannotBeCreated, ErrInvalid, "session %s cannot be created", short(id))
		}
		s = m.find(id)
	}
	if s == nil {
		return nil, errf(CodeRoomNotFound, ErrSessionNotFound, "Unable to join session. Session %s cannot be found", short(id))
	}
	hidden := req.Recorder || req.STT
	if err := s.do(ctx, func() error { return s.admits(hidden) }); err != nil {
		return nil, err
	}
	var rec tokenRecord
	if insecure || own != nil {
		rec = tokenRecord{SessionID: id, TokenID: auth.NewTokenID(), CreatedAt: time.Now().UnixMilli(), Role: auth.Subscriber, Record: true}
	} else {
		if tokenErr != nil {
			return nil, errf(CodeUnauthorized, nil, "Unable to join session %s. Token %s is not valid", short(id), short(ref.ID))
		}
		var err error
		if rec, err = m.useToken(ctx, id, ref.ID); err != nil {
			return nil, err
		}
	}
	def(&req.PrivateID, auth.NewPrivateID())
	def(&req.FinalUserID, auth.NewFinalUserID())
	var c *Connection
	// From here on the token is spent: the request's own deadline does not matter.
	err := s.do(context.WithoutCancel(ctx), func() error {
		if err := s.admits(hidden); err != nil {
			return err
		}
		secret := req.Secret
		c = s.join(req, rec, insecure, peer, reply)
		if own != nil && !m.joined(own, c, secret) {
			s.evict(c, ReasonForceDisconnectServer, nil)
		}
		return nil
	})
	return c, err
}

// admits says whether one more participant may join; hidden ones need no room.
func (s *session) admits(hidden bool) error {
	switch {
	case s.closing:
		return errf(CodeRoomClosed, ErrSessionClosing, "Unable to join session %s: it is closing", s.id)
	case !hidden && s.m.opts.Limits.Participants > 0 && s.real() >= s.m.opts.Limits.Participants:
		return errf(CodeRoomGeneric, ErrLimit, "Unable to join session %s: it is full", s.id)
	}
	return nil
}

func (s *session) join(req JoinRequest, rec tokenRecord, insecure bool, peer Peer, reply func(JoinResult)) *Connection {
	switch {
	case rec.ConnectionID != "":
	case req.Recorder && s.byID[idRecorder] == nil:
		rec.ConnectionID = idRecorder
	case req.STT && s.byID[idSpeechToText] == nil:
		rec.ConnectionID = idSpeechToText
	default:
		rec.ConnectionID = s.connectionID("")
	}
	s.dropPending(rec.ConnectionID)
	c := &Connection{
		s: s, id: rec.ConnectionID, privateID: req.PrivateID, token: rec, tokenURL: s.m.tokenURL(rec),
		insecure: insecure, hidden: req.Recorder || req.STT,
		joinedAt: time.Now(), request: req, role: rec.Role, record: rec.Record, peer: peer,
		subs: map[string]*subscription{}, serverOffers: s.m.opts.ServerOffers && takesOffers(req.SDKVersion),
		log: s.log.With(obs.AttrConnection, rec.ConnectionID),
	}
	c.request.Secret, c.request.Token = auth.Secret{}, ""
	c.work = loop.New(loop.Options{Log: c.log, Where: "openvidu.media", OnPanic: func() {
		s.post(func() {
			s.evict(c, ReasonNodeCrashed, nil)
			s.maybeEmpty(ReasonNodeCrashed)
		})
	}})
	s.workers[c.work] = struct{}{}
	existing := slices.Clone(s.conns)
	s.conns = append(s.conns, c)
	s.byID[c.id] = c
	s.m.keepPrivate(c)
	if !s.active && !c.hidden {
		s.active = true
		s.emit(events.NameSessionCreated, events.SessionCreated{Common: s.common()})
	}
	if !c.hidden {
		s.emptied = ""
		if r := s.m.recorder(); r != nil {
			r.ParticipantJoined(s.id)
		}
		s.emit(events.NameParticipantJoined, events.ParticipantJoined{Common: s.common(), Participant: c.participant()})
		notify(existing, notification("participantJoined", paramsJoined{c.id, c.joinedAt.UnixMilli(), c.metadata()}))
	}
	reply(c.joinResult(existing))
	c.log.Info("participant joined", "role", string(c.role), obs.Remote("platform", req.Platform), obs.Remote("sdk", req.SDKVersion))
	return c
}

// joinResult is what the joiner gets.
func (c *Connection) joinResult(existing []*Connection) JoinResult {
	o := &c.s.m.opts
	r := JoinResult{
		ID: c.id, FinalUserID: c.request.FinalUserID, CreatedAt: c.joinedAt.UnixMilli(), Metadata: c.metadata(),
		Value: []ParticipantObject{}, Session: c.s.id, Version: o.Version, MediaServer: mediaServerKurento,
		Record: c.record, Role: c.role, CoturnIP: o.CoturnIP, CoturnPort: o.CoturnPort,
		CustomICEServers: append(slices.Clone(o.OwnICEServers), c.iceServers()...),
	}
	if c.serverOffers {
		r.MediaServer, r.VideoSimulcast = mediaServerMediasoup, o.Simulcast
	}
	if c.request.SDKVersion != "" {
		r.Version = c.request.SDKVersion
	}
	if r.CustomICEServers == nil {
		r.CustomICEServers = []ICEServer{}
	}
	if o.TURNCredentials != nil {
		r.TURNUsername, r.TURNCredential = o.TURNCredentials(c.id)
	}
	for _, p := range existing {
		if !p.hidden {
			r.Value = append(r.Value, p.object())
		}
	}
	if rec := c.s.recording; rec != nil && c.hearsRecordings() {
		r.RecordingID, r.RecordingName = rec.ID, rec.Name
	}
	return r
}

func (c *Connection) iceServers() []ICEServer {
	if len(c.token.ICEServers) > 0 {
		return c.token.ICEServers
	}
	return c.s.m.opts.DefaultICEServers()
}

// hearsRecordings says whether this connection's role is told of recordings.
func (c *Connection) hearsRecordings() bool {
	switch c.s.m.opts.RecordingNotification {
	case NotifyAll:
		return !c.hidden
	case NotifyModerator:
		return !c.hidden && c.role == auth.Moderator
	case NotifyPublisherModerator:
		return !c.hidden && (c.role == auth.Moderator || c.role == auth.Publisher)
	}
	return false
}

// Reconnect binds a new socket to the connection whose private id a browser
// shows (§3.3): reply, then the notifications missed, in order. CodeReconnection
// when there is none such (any more).
func (m *Manager) Reconnect(ctx context.Context, privateID string, peer Peer, reply func()) (*Connection, error) {
	refused := errf(CodeReconnection, ErrConnectionNotFound, "reconnection error")
	c := m.byPrivate(privateID)
	if c == nil {
		return nil, refused
	}
	err := c.do(ctx, func() error {
		c.attach(peer, reply)
		return nil
	})
	if err != nil {
		return nil, refused
	}
	return c, nil
}
