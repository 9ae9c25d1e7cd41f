package openvidu

import (
	"slices"

	"github.com/govidu/govidu/openvidu/auth"
)

// unknownLocation stands where the original puts a city.
const unknownLocation = "unknown"

// info is the session as the REST API shows it. Runs on the loop.
func (s *session) info(view ViewOptions) SessionInfo {
	content := s.connectionInfos(view)
	return SessionInfo{
		ID: s.id, Object: "session", SessionID: s.id, CreatedAt: s.createdAt.UnixMilli(),
		Recording: s.recording != nil, Broadcasting: len(s.broadcasts) > 0, MediaMode: s.props.MediaMode, RecordingMode: s.props.RecordingMode,
		DefaultRecordingProperties: *s.props.DefaultRecordingProperties, CustomSessionID: s.props.CustomSessionID,
		ForcedVideoCodec: s.props.ForcedVideoCodec, AllowTranscoding: *s.props.AllowTranscoding,
		Connections: ConnectionList{NumberOfElements: len(content), Content: content},
		LastN:       s.props.LastN, Active: s.active, UniqueID: s.uniqueID,
	}
}

// connectionInfos gives active connections in order of joining, then pending ones
// in order of creation.
func (s *session) connectionInfos(view ViewOptions) []ConnectionInfo {
	out := []ConnectionInfo{}
	for _, c := range s.conns {
		if !c.hidden {
			out = append(out, c.info(view))
		}
	}
	if view.PendingConnections {
		s.prune()
		for _, p := range s.pending {
			out = append(out, s.m.pendingInfo(p.rec))
		}
	}
	return out
}

// pendingInfo is a connection whose token is unused.
func (m *Manager) pendingInfo(rec tokenRecord) ConnectionInfo {
	token, role := m.tokenURL(rec), rec.Role
	info := ConnectionInfo{
		ID: rec.ConnectionID, Object: "connection", Type: TypeWebRTC, Status: StatusPending, ConnectionID: rec.ConnectionID,
		SessionID: rec.SessionID, CreatedAt: rec.CreatedAt, Token: &token, ServerData: rec.Data, Record: rec.Record,
		Role: &role, KurentoOptions: rec.KurentoOptions, CustomICEServers: rec.ICEServers,
	}
	if len(info.CustomICEServers) == 0 {
		info.CustomICEServers = m.opts.DefaultICEServers()
	}
	info.CustomICEServers = append([]ICEServer{}, info.CustomICEServers...)
	return info
}

// info is an active connection. Runs on the loop.
func (c *Connection) info(view ViewOptions) ConnectionInfo {
	i := c.s.m.pendingInfo(c.token)
	at, location, ip, platform := c.joinedAt.UnixMilli(), unknownLocation, c.request.IP, c.request.Platform
	data, role, token := c.request.Metadata, c.role, c.tokenURL
	i.Status, i.ActiveAt, i.Location, i.IP, i.Platform, i.ClientData = StatusActive, &at, &location, &ip, &platform, &data
	i.Role, i.Record, i.Token = &role, c.record, &token
	i.Publishers, i.Subscribers = []PublisherInfo{}, []SubscriberInfo{}
	if st := c.pub; st != nil && st.published {
		p := PublisherInfo{CreatedAt: st.createdAt.UnixMilli(), StreamID: st.id, MediaOptions: st.options()}
		if view.WebRTCStats {
			p.WebRTCStats = st.ep.view()
		}
		i.Publishers = append(i.Publishers, p)
	}
	for _, sub := range c.subscriptions() {
		if !sub.ready {
			continue
		}
		v := SubscriberInfo{CreatedAt: sub.createdAt.UnixMilli(), StreamID: sub.st.id}
		if view.WebRTCStats {
			v.WebRTCStats = sub.ep.view()
		}
		i.Subscribers = append(i.Subscribers, v)
	}
	return i
}

// view copies the statistics; lists are never null.
func (ep *endpoint) view() *WebRTCStats {
	v := ep.stats
	v.ClientICECandidates = append([]ICECandidate{}, v.ClientICECandidates...)
	v.ServerICECandidates = append([]ICECandidate{}, v.ServerICECandidates...)
	v.Events = append([]map[string]any{}, v.Events...)
	return &v
}

// tokenInfo is the answer of the deprecated token call.
func tokenInfo(i ConnectionInfo) TokenInfo {
	role := auth.Publisher
	if i.Role != nil {
		role = *i.Role
	}
	return TokenInfo{
		ID: *i.Token, Token: *i.Token, ConnectionID: i.ID, CreatedAt: i.CreatedAt, Session: i.SessionID,
		Data: i.ServerData, Role: role, KurentoOptions: i.KurentoOptions,
	}
}

// sortSessions orders by creation.
func sortSessions(list []*session) {
	slices.SortFunc(list, func(a, b *session) int {
		if c := a.createdAt.Compare(b.createdAt); c != 0 {
			return c
		}
		if a.id < b.id {
			return -1
		}
		return 1
	})
}
