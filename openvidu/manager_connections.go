package openvidu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/govidu/govidu/internal/cluster"
	"github.com/govidu/govidu/openvidu/auth"
)

// CreateConnection makes a pending connection and its one-time token.
// ErrSessionNotFound, ErrSessionClosing, ErrInvalid, ErrLimit; IPCAM is
// ErrUnsupported.
func (m *Manager) CreateConnection(ctx context.Context, sessionID string, p ConnectionProperties) (ConnectionInfo, error) {
	def(&p.Type, TypeWebRTC)
	def(&p.Role, auth.Publisher)
	switch {
	case p.Type == TypeIPCam:
		return ConnectionInfo{}, errf(CodeMediaGeneric, ErrUnsupported, "IP cameras are not supported by this server yet")
	case p.Type != TypeWebRTC:
		return ConnectionInfo{}, errf(CodeTokenCannotBeCreated, ErrInvalid, "unknown connection type")
	case !p.Role.Valid():
		return ConnectionInfo{}, errf(CodeRoleNotFound, ErrInvalid, "unknown role")
	case len(p.Data) > m.opts.Limits.DataBytes:
		return ConnectionInfo{}, errf(CodeUserMetadata, ErrInvalid, "data has more than %d bytes", m.opts.Limits.DataBytes)
	}
	s, err := m.get(sessionID)
	if err != nil {
		return ConnectionInfo{}, err
	}
	rec := tokenRecord{
		SessionID: s.id, TokenID: auth.NewTokenID(), CreatedAt: time.Now().UnixMilli(), Role: p.Role,
		Record: p.Record == nil || *p.Record, Data: p.Data, KurentoOptions: p.KurentoOptions, ICEServers: p.ICEServers,
	}
	// The place is taken first, so that two calls cannot get one connection id, and
	// confirmed when the store has the token.
	place := &pending{made: time.Now()}
	if err := s.do(ctx, func() error {
		s.prune()
		switch {
		case s.closing:
			return errf(CodeRoomClosed, ErrSessionClosing, "session %s is closing", s.id)
		case len(s.pending) >= m.opts.Limits.Pending:
			return errf(CodeTokenCannotBeCreated, ErrLimit, "session %s has %d unused tokens already", s.id, len(s.pending))
		}
		rec.ConnectionID = s.connectionID(p.Data)
		place.rec = rec
		s.pending = append(s.pending, place)
		return nil
	}); err != nil {
		return ConnectionInfo{}, err
	}
	stored, err := m.storeToken(ctx, rec)
	kept := false
	if derr := s.do(context.WithoutCancel(ctx), func() error {
		if err != nil || s.closing {
			s.dropPending(rec.ConnectionID)
			return nil
		}
		place.rev, kept = stored.rev, true
		return nil
	}); err == nil && derr != nil {
		err = derr
	}
	if err == nil && !kept {
		err = errf(CodeRoomClosed, ErrSessionClosing, "session %s is closing", s.id)
	}
	if err != nil {
		if stored != nil {
			m.voidToken(context.WithoutCancel(ctx), stored)
		}
		return ConnectionInfo{}, err
	}
	return m.pendingInfo(rec), nil
}

// CreateToken is CreateConnection in the shape of the deprecated token call (§6).
func (m *Manager) CreateToken(ctx context.Context, sessionID string, p ConnectionProperties) (TokenInfo, error) {
	i, err := m.CreateConnection(ctx, sessionID, p)
	if err != nil {
		return TokenInfo{}, err
	}
	return tokenInfo(i), nil
}

func connectionNotFound(id string) error {
	return errf(CodeUserNotFound, ErrConnectionNotFound, "connection %s not found", short(id))
}

// Connection gives one connection: ErrSessionNotFound, ErrConnectionNotFound.
func (m *Manager) Connection(ctx context.Context, sessionID, connectionID string, view ViewOptions) (info ConnectionInfo, err error) {
	s, err := m.get(sessionID)
	if err != nil {
		return info, err
	}
	err = s.do(ctx, func() error {
		if c := s.byID[connectionID]; c != nil && !c.hidden {
			info = c.info(view)
		} else if p := s.findPending(connectionID); p != nil {
			info = m.pendingInfo(p.rec)
		} else {
			return connectionNotFound(connectionID)
		}
		return nil
	})
	return info, err
}

// Connections gives a session's connections, active ones first, oldest first:
// ErrSessionNotFound.
func (m *Manager) Connections(ctx context.Context, sessionID string, view ViewOptions) (list []ConnectionInfo, err error) {
	s, err := m.get(sessionID)
	if err != nil {
		return nil, err
	}
	err = s.do(ctx, func() error {
		list = s.connectionInfos(view)
		return nil
	})
	return list, err
}

// UpdateConnection changes role or record of a connection; an active one is told
// by connectionPropertyChanged. ErrSessionNotFound, ErrConnectionNotFound.
func (m *Manager) UpdateConnection(ctx context.Context, sessionID, connectionID string, u ConnectionUpdate) (info ConnectionInfo, err error) {
	if u.Role != nil && !u.Role.Valid() {
		return info, errf(CodeRoleNotFound, ErrInvalid, "unknown role")
	}
	s, err := m.get(sessionID)
	if err != nil {
		return info, err
	}
	for range 8 { // a pending connection may be joined, or updated, under our hands
		var p *pending
		var rec tokenRecord
		var rev cluster.Revision
		err = s.do(ctx, func() error {
			if c := s.byID[connectionID]; c != nil && !c.hidden {
				c.update(u)
				info = c.info(ViewOptions{})
				return nil
			}
			if p = s.findPending(connectionID); p == nil {
				return connectionNotFound(connectionID)
			}
			rec, rev = p.rec, p.rev
			return nil
		})
		if err != nil || p == nil {
			return info, err
		}
		if u.Role != nil {
			rec.Role = *u.Role
		}
		if u.Record != nil {
			rec.Record = *u.Record
		}
		value, err := json.Marshal(rec)
		if err != nil {
			return info, fmt.Errorf("marshal token: %w", err)
		}
		newRev, err := m.store.Update(ctx, tokenKey(rec.TokenID), value, rev)
		if errors.Is(err, cluster.ErrConflict) || errors.Is(err, cluster.ErrNotFound) {
			continue
		} else if err != nil {
			return info, fmt.Errorf("update token: %w", err)
		}
		err = s.do(context.WithoutCancel(ctx), func() error {
			p.rec, p.rev = rec, newRev
			return nil
		})
		return m.pendingInfo(rec), err
	}
	return info, connectionNotFound(connectionID)
}

// update changes an active connection and tells it what changed.
func (c *Connection) update(u ConnectionUpdate) {
	if u.Role != nil && *u.Role != c.role {
		c.role = *u.Role
		c.send(notification("connectionPropertyChanged", paramsConnectionProperty{"role", string(c.role)}))
	}
	if u.Record != nil && *u.Record != c.record {
		c.record = *u.Record
		c.send(notification("connectionPropertyChanged", paramsConnectionProperty{"record", fmt.Sprint(c.record)}))
	}
}

// DeleteConnection evicts an active connection with the reason, or voids the
// token of a pending one. ErrSessionNotFound, ErrConnectionNotFound.
func (m *Manager) DeleteConnection(ctx context.Context, sessionID, connectionID string, reason Reason) error {
	s, err := m.get(sessionID)
	if err != nil {
		return err
	}
	for range 8 { // as in UpdateConnection
		var p *pending
		err := s.do(ctx, func() error {
			if c := s.byID[connectionID]; c != nil && !c.hidden {
				s.evict(c, reason, nil)
				s.maybeEmpty(reason)
				return nil
			}
			if found := s.findPending(connectionID); found != nil {
				copied := *found
				p = &copied
				return nil
			}
			return connectionNotFound(connectionID)
		})
		if err != nil || p == nil {
			return err
		}
		if m.voidToken(ctx, p) {
			return s.do(context.WithoutCancel(ctx), func() error {
				s.dropPending(connectionID)
				return nil
			})
		}
	}
	return connectionNotFound(connectionID)
}
