package openvidu

import (
	"context"
	"sync"

	"github.com/govidu/govidu/openvidu/auth"
)

// pass lets a recorder of our own into one session, once: what a web page that is
// recorded gets in place of the server's secret.
type pass struct {
	sessionID string

	mu   sync.Mutex  // leaf
	used bool        // or void
	conn *Connection // who used it
}

// take uses the pass; only the first call succeeds.
func (p *pass) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.used
	p.used = true
	return first
}

// RecorderPass makes a secret with which one joinRoom of the session succeeds
// without a token, as a recorder: hidden from everybody, counted nowhere, allowed
// what a subscriber is. end voids it, or ends the connection that used it; it must
// be called once. ErrSessionNotFound.
func (m *Manager) RecorderPass(_ context.Context, sessionID string) (secret string, end func(context.Context), err error) {
	if _, err := m.get(sessionID); err != nil {
		return "", nil, err
	}
	p := &pass{sessionID: sessionID}
	secret = auth.NewTokenID()
	m.mu.Lock()
	m.passes[secret] = p
	m.mu.Unlock()
	return secret, func(ctx context.Context) {
		m.mu.Lock()
		delete(m.passes, secret)
		m.mu.Unlock()
		p.mu.Lock()
		p.used = true
		c := p.conn
		p.mu.Unlock()
		if c == nil {
			return
		}
		_ = c.s.do(ctx, func() error { // a session that is closed has evicted it
			c.s.evict(c, ReasonForceDisconnectServer, nil)
			return nil
		})
	}, nil
}

// passOf finds the pass that a joinRoom shows, unused; nil if it shows none.
func (m *Manager) passOf(sessionID string, secret auth.Secret) *pass {
	if secret.Len() == 0 {
		return nil
	}
	m.mu.Lock()
	p := m.passes[secret.Reveal()]
	m.mu.Unlock()
	if p == nil || p.sessionID != sessionID || !p.take() {
		return nil
	}
	return p
}

// joined notes who used the pass. If it has been ended meanwhile, the connection
// must end too: false.
func (m *Manager) joined(p *pass, c *Connection, secret auth.Secret) bool {
	p.mu.Lock()
	p.conn = c
	p.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.passes[secret.Reveal()] == p
}
