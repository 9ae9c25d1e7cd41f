package rest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
)

// maxData is the most a connection's data or a signal may hold (robustness §2).
const maxData = 64 << 10

// connectionBody is the body of POST …/connection (§3.1).
type connectionBody struct {
	Type                    *string             `json:"type"`
	Data                    *string             `json:"data"`
	Record                  *bool               `json:"record"`
	Role                    *string             `json:"role"`
	KurentoOptions          *kurentoOptionsBody `json:"kurentoOptions"`
	CustomICEServers        []iceServerBody     `json:"customIceServers"`
	RTSPURI                 *string             `json:"rtspUri"`
	AdaptativeBitrate       *bool               `json:"adaptativeBitrate"`
	OnlyPlayWithSubscribers *bool               `json:"onlyPlayWithSubscribers"`
	NetworkCache            *int                `json:"networkCache"`
}

type kurentoOptionsBody struct {
	VideoMaxRecvBandwidth *int     `json:"videoMaxRecvBandwidth"`
	VideoMinRecvBandwidth *int     `json:"videoMinRecvBandwidth"`
	VideoMaxSendBandwidth *int     `json:"videoMaxSendBandwidth"`
	VideoMinSendBandwidth *int     `json:"videoMinSendBandwidth"`
	AllowedFilters        []string `json:"allowedFilters"`
}

func (h *Handler) createConnection(r *http.Request, b connectionBody) (openvidu.ConnectionInfo, error) {
	p, err := b.properties()
	if err != nil {
		return openvidu.ConnectionInfo{}, err
	}
	c, err := h.opts.Manager.CreateConnection(r.Context(), r.PathValue("sessionId"), p)
	return c, limited(err)
}

func (b connectionBody) properties() (openvidu.ConnectionProperties, error) {
	p := openvidu.ConnectionProperties{
		Record: b.Record, AdaptativeBitrate: b.AdaptativeBitrate,
		OnlyPlayWithSubscribers: b.OnlyPlayWithSubscribers, NetworkCacheMilliseconds: b.NetworkCache,
	}
	var err error
	if p.Type, err = oneOf("type", b.Type, openvidu.TypeWebRTC, openvidu.TypeIPCam); err != nil {
		return p, err
	}
	role, err := oneOf("role", b.Role, string(auth.Subscriber), string(auth.Publisher), string(auth.Moderator))
	if err != nil {
		return p, err
	}
	p.Role = auth.Role(role)
	if b.Data != nil {
		if len(*b.Data) > maxData {
			return p, bad(`parameter "data" is larger than 64 KiB`)
		}
		p.Data = *b.Data
	}
	if p.Type == openvidu.TypeIPCam {
		p.RTSPURI, err = checkRTSPURI(b.RTSPURI)
		if err == nil && b.NetworkCache != nil && *b.NetworkCache < 0 {
			err = bad(`parameter "networkCache" must not be negative`)
		}
		return p, err
	}
	if p.KurentoOptions, err = b.KurentoOptions.options(); err != nil {
		return p, err
	}
	p.ICEServers, err = iceServers(b.CustomICEServers)
	return p, err
}

func (b *kurentoOptionsBody) options() (*openvidu.KurentoOptions, error) {
	if b == nil {
		return nil, nil
	}
	for _, n := range []*int{b.VideoMaxRecvBandwidth, b.VideoMinRecvBandwidth, b.VideoMaxSendBandwidth, b.VideoMinSendBandwidth} {
		// 2^31-1 kbit/s is the most the older lines could hold.
		if n != nil && (*n < 0 || *n > 1<<31-1) {
			return nil, bad(`bandwidths of "kurentoOptions" must be between 0 and 2147483647 kbit/s`)
		}
	}
	return &openvidu.KurentoOptions{
		VideoMaxRecvBandwidth: b.VideoMaxRecvBandwidth, VideoMinRecvBandwidth: b.VideoMinRecvBandwidth,
		VideoMaxSendBandwidth: b.VideoMaxSendBandwidth, VideoMinSendBandwidth: b.VideoMinSendBandwidth,
		AllowedFilters: b.AllowedFilters,
	}, nil
}

var cameraSchemes = []string{"file", "rtsp", "rtsps", "http", "https"}

func checkRTSPURI(s *string) (string, error) {
	if s == nil || *s == "" {
		return "", bad(`parameter "rtspUri" is mandatory for type IPCAM`)
	}
	u, err := url.Parse(*s)
	if err != nil || !slices.Contains(cameraSchemes, u.Scheme) || (u.Host == "" && u.Scheme != "file") {
		return "", bad(`parameter "rtspUri" must be a URI with scheme file, rtsp, rtsps, http or https`)
	}
	return *s, nil
}

// limited gives 400 for too many unused tokens and too long signals: the caller's
// doing, not the server's state (robustness §2).
func limited(err error) error {
	if errors.Is(err, openvidu.ErrLimit) {
		return bad("%s", refusalText(err, openvidu.ErrLimit))
	}
	return err
}

func (h *Handler) listConnections(r *http.Request, _ none) (list[openvidu.ConnectionInfo], error) {
	view, err := viewOptions(r, true)
	if err != nil {
		return list[openvidu.ConnectionInfo]{}, err
	}
	c, err := h.opts.Manager.Connections(r.Context(), r.PathValue("sessionId"), view)
	return listOf(c), err
}

// For one connection or stream of an unknown session the status is 400, not 404 (§16).

func (h *Handler) getConnection(r *http.Request, _ none) (openvidu.ConnectionInfo, error) {
	view, err := viewOptions(r, true)
	if err != nil {
		return openvidu.ConnectionInfo{}, err
	}
	c, err := h.opts.Manager.Connection(r.Context(), r.PathValue("sessionId"), r.PathValue("connectionId"), view)
	return c, as(err, openvidu.ErrSessionNotFound, http.StatusBadRequest)
}

// updateBody is the body of PATCH …/connection/{id} (§3.6).
type updateBody struct {
	Role   *string `json:"role"`
	Record *bool   `json:"record"`
}

func (h *Handler) updateConnection(r *http.Request, b updateBody) (openvidu.ConnectionInfo, error) {
	role, err := oneOf("role", b.Role, string(auth.Subscriber), string(auth.Publisher), string(auth.Moderator))
	if err != nil {
		return openvidu.ConnectionInfo{}, err
	}
	u := openvidu.ConnectionUpdate{Record: b.Record}
	if role != "" {
		u.Role = new(auth.Role(role))
	}
	return h.opts.Manager.UpdateConnection(r.Context(), r.PathValue("sessionId"), r.PathValue("connectionId"), u)
}

func (h *Handler) deleteConnection(r *http.Request, _ none) (none, error) {
	err := h.opts.Manager.DeleteConnection(r.Context(), r.PathValue("sessionId"), r.PathValue("connectionId"), openvidu.ReasonForceDisconnectServer)
	return none{}, as(err, openvidu.ErrSessionNotFound, http.StatusBadRequest)
}

func (h *Handler) unpublish(r *http.Request, _ none) (none, error) {
	err := h.opts.Manager.Unpublish(r.Context(), r.PathValue("sessionId"), r.PathValue("streamId"), openvidu.ReasonForceUnpublishServer)
	err = as(err, openvidu.ErrSessionNotFound, http.StatusBadRequest)
	return none{}, as(err, openvidu.ErrSessionNotActive, http.StatusNotFound)
}
