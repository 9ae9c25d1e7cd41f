package openvidu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/cluster"
	"github.com/govidu/govidu/openvidu/auth"
)

// tokenLife bounds how long an unused token is good for.
const tokenLife = 24 * time.Hour

// tokenRecord is an unused token as the store keeps it. CreatedAt is ms since 1970.
type tokenRecord struct {
	SessionID      string          `json:"sessionId"`
	ConnectionID   string          `json:"connectionId"`
	TokenID        string          `json:"tokenId"`
	CreatedAt      int64           `json:"createdAt"`
	Role           auth.Role       `json:"role"`
	Record         bool            `json:"record"`
	Data           string          `json:"data"`
	KurentoOptions *KurentoOptions `json:"kurentoOptions,omitempty"`
	ICEServers     []ICEServer     `json:"iceServers,omitempty"`
}

// pending is a token of this session that nobody has used, as the session's
// goroutine knows it; the store is what decides.
type pending struct {
	rec  tokenRecord
	rev  cluster.Revision
	made time.Time
}

func tokenKey(id string) string { return "token/" + id }

// store writes a new token.
func (m *Manager) storeToken(ctx context.Context, rec tokenRecord) (*pending, error) {
	value, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("marshal token: %w", err)
	}
	rev, err := m.store.Create(ctx, tokenKey(rec.TokenID), value, tokenLife)
	if err != nil {
		return nil, fmt.Errorf("store token of session %s: %w", rec.SessionID, err)
	}
	return &pending{rec: rec, rev: rev, made: time.Now()}, nil
}

// voidToken deletes a token nobody will use any more. It reports whether this
// call was the one that did.
func (m *Manager) voidToken(ctx context.Context, p *pending) bool {
	return m.store.Delete(ctx, tokenKey(p.rec.TokenID), p.rev) == nil
}

// useToken consumes a token of a session: of several calls exactly one succeeds.
// Everything wrong with the token is one and the same refusal.
func (m *Manager) useToken(ctx context.Context, sessionID, tokenID string) (tokenRecord, error) {
	refused := errf(CodeUnauthorized, nil, "Unable to join session %s. Token %s is not valid", short(sessionID), short(tokenID))
	for range 8 { // an update of the connection moves the revision
		e, err := m.store.Get(ctx, tokenKey(tokenID))
		if errors.Is(err, cluster.ErrNotFound) {
			return tokenRecord{}, refused
		} else if err != nil {
			return tokenRecord{}, fmt.Errorf("look token up: %w", err)
		}
		var rec tokenRecord
		if err := json.Unmarshal(e.Value, &rec); err != nil {
			return tokenRecord{}, fmt.Errorf("read token: %w", err)
		}
		if rec.SessionID != sessionID {
			return tokenRecord{}, refused
		}
		switch err := m.store.Delete(ctx, e.Key, e.Revision); {
		case err == nil:
			return rec, nil
		case errors.Is(err, cluster.ErrNotFound):
			return tokenRecord{}, refused
		case !errors.Is(err, cluster.ErrConflict):
			return tokenRecord{}, fmt.Errorf("use token: %w", err)
		}
	}
	return tokenRecord{}, refused
}

// tokenURL is what the API hands out for a token.
func (m *Manager) tokenURL(rec tokenRecord) string {
	u := auth.TokenURL{
		Host: m.opts.PublicHost, Port: m.opts.PublicPort, Plain: m.opts.PlainHTTP,
		SessionID: rec.SessionID, Token: rec.TokenID,
	}
	if m.opts.LegacyTokens {
		l := &auth.LegacyToken{Role: rec.Role, Version: m.opts.Version, CoturnIP: m.opts.CoturnIP}
		if m.opts.TURNCredentials != nil {
			l.TURNUsername, l.TURNCredential = m.opts.TURNCredentials(rec.ConnectionID)
		}
		u.Legacy = l
	}
	return u.String()
}

var nonWord = regexp.MustCompile(`\W`)

// connectionID gives the id for a new connection: the one its data asks for (key
// openviduCustomConnectionId of a JSON object), if that is free, else a random one.
func (s *session) connectionID(data string) string {
	var v struct {
		ID string `json:"openviduCustomConnectionId"`
	}
	if json.Unmarshal([]byte(data), &v) == nil && v.ID != "" {
		id := "con_" + nonWord.ReplaceAllString(v.ID, "")
		if len(id) > len("con_") && len(id) <= 128 && !s.taken(id) {
			return id
		}
	}
	for {
		if id := auth.NewConnectionID(); !s.taken(id) {
			return id
		}
	}
}

func (s *session) taken(id string) bool {
	return s.byID[id] != nil || slices.ContainsFunc(s.pending, func(p *pending) bool { return p.rec.ConnectionID == id })
}

// prune forgets tokens that outlived tokenLife; the store has dropped them itself.
func (s *session) prune() {
	s.pending = slices.DeleteFunc(s.pending, func(p *pending) bool { return time.Since(p.made) >= tokenLife })
}

func (s *session) findPending(connectionID string) *pending {
	s.prune()
	for _, p := range s.pending {
		if p.rec.ConnectionID == connectionID {
			return p
		}
	}
	return nil
}

func (s *session) dropPending(connectionID string) {
	s.pending = slices.DeleteFunc(s.pending, func(p *pending) bool { return p.rec.ConnectionID == connectionID })
}
