package rest

import (
	"net/http"

	"github.com/govidu/govidu/openvidu"
)

// signalBody is the body of POST /signal (§5).
type signalBody struct {
	Session *string  `json:"session"`
	To      []string `json:"to"`
	Type    *string  `json:"type"`
	Data    *string  `json:"data"`
}

func (h *Handler) signal(r *http.Request, b signalBody) (done, error) {
	if b.Session == nil {
		return done{}, bad(`parameter "session" is mandatory`)
	}
	for _, s := range []*string{b.Type, b.Data} {
		if s != nil && len(*s) > maxData {
			return done{}, bad(`parameters "type" and "data" are limited to 64 KiB`)
		}
	}
	return done{}, limited(h.opts.Manager.Signal(r.Context(), openvidu.SignalRequest{SessionID: *b.Session, To: b.To, Type: b.Type, Data: b.Data}))
}

// tokenBody is the body of the deprecated POST /tokens (§6): a connection of type
// WEBRTC that names its session.
type tokenBody struct {
	Session        *string             `json:"session"`
	Role           *string             `json:"role"`
	Data           *string             `json:"data"`
	KurentoOptions *kurentoOptionsBody `json:"kurentoOptions"`
}

func (h *Handler) createToken(r *http.Request, b tokenBody) (openvidu.TokenInfo, error) {
	if b.Session == nil {
		return openvidu.TokenInfo{}, bad(`parameter "session" is mandatory`)
	}
	p, err := connectionBody{Role: b.Role, Data: b.Data, KurentoOptions: b.KurentoOptions}.properties()
	if err != nil {
		return openvidu.TokenInfo{}, err
	}
	t, err := h.opts.Manager.CreateToken(r.Context(), *b.Session, p)
	return t, limited(err)
}

func (h *Handler) health(w http.ResponseWriter, _ *http.Request) {
	s := Health{Status: "UP"}
	if h.opts.Health != nil {
		s = h.opts.Health()
	}
	if s.DisconnectedMediaNodes == nil {
		s.DisconnectedMediaNodes = []string{}
	}
	status := map[string]int{"UP": http.StatusOK, "UNSTABLE": http.StatusConflict}[s.Status]
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, s)
}

// Health is the answer of /openvidu/api/health (§10): UP is 200, UNSTABLE 409,
// DOWN 503.
type Health struct {
	Status                 string   `json:"status"`
	DisconnectedMediaNodes []string `json:"disconnectedMediaNodes"`
}
