package events

import (
	"net/url"
	"strings"

	"github.com/govidu/govidu/internal/secret"
)

// Redactor are event fields that hold something which only the operator's own
// systems (webhooks, CDR) may have. Redacted gives a copy without it, for logs.
type Redactor interface{ Redacted() any }

// RedactURL hides what authorises in the URL of a broadcast: name and password, the
// query, and the last part of the path, which is an RTMP stream key or the token of
// an HLS playlist. A text that is no URL is hidden whole.
//
//	rtmp://live.example:1935/app/key?t=1 → rtmp://live.example:1935/app/***
func RedactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return secret.Mask
	}
	path := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	keep := 1 // the application
	if len(path) > 1 && path[0] == "openvidu" {
		keep = 2 // openvidu/hls
	}
	if len(path) <= keep {
		keep = max(len(path)-1, 0)
	}
	return u.Scheme + "://" + u.Host + "/" + strings.Join(append(path[:keep:keep], secret.Mask), "/")
}
