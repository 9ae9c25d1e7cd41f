package broadcast

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/secret"
)

// Values of Spec.Output.
const (
	RTMP = "RTMP"
	HLS  = "HLS"
)

// DefaultName is the name of a broadcast that was given none.
const DefaultName = "default"

// Spec says what to broadcast. Width and Height are pixels, FrameRate frames per
// second; they matter with HasVideo only.
type Spec struct {
	// Name tells the broadcasts of a session apart; "" is DefaultName, and such a one
	// is refused while the session has any other.
	Name   string
	Output string // RTMP or HLS
	// Target is the rtmp:// or rtmps:// URL, as ParseTarget made it; not for HLS.
	Target             secret.Secret
	HasAudio, HasVideo bool
	Width, Height      int
	FrameRate          int
	Layout             layout.Spec
	// RecordingLayout is what the caller called the layout, for showing.
	RecordingLayout string
	// Record keeps the segments of an HLS broadcast and a playlist of all of them.
	Record bool
}

// Status is what a broadcast is doing.
type Status string

// The states. Reconnecting is an RTMP target that has gone and is tried again.
const (
	Starting     Status = "starting"
	Connected    Status = "connected"
	Reconnecting Status = "reconnecting"
)

// Broadcast is the object of the API. Times are ms since 1970: CreatedAt of the
// request, Since of the present status. Retries counts how often the target was
// lost. BroadcastURL is redacted; URL is the playlist of HLS, nil otherwise; Folder
// is where a recorded one lies below the recordings folder.
type Broadcast struct {
	ID              string  `json:"id"`
	Object          string  `json:"object"`
	Name            string  `json:"name"`
	SessionID       string  `json:"sessionId"`
	Output          string  `json:"output"`
	BroadcastURL    *string `json:"broadcastUrl"`
	URL             *string `json:"url"`
	Status          Status  `json:"status"`
	CreatedAt       int64   `json:"createdAt"`
	Since           int64   `json:"since"`
	Retries         int     `json:"retries"`
	HasAudio        bool    `json:"hasAudio"`
	HasVideo        bool    `json:"hasVideo"`
	Resolution      *string `json:"resolution,omitempty"`
	FrameRate       *int    `json:"frameRate,omitempty"`
	RecordingLayout *string `json:"recordingLayout,omitempty"`
	Folder          *string `json:"folder,omitempty"`
}

// Refusals of the service. Unknown sessions are openvidu.ErrSessionNotFound, those
// without a participant openvidu.ErrSessionNotActive.
var (
	// ErrConflict: the session is RELAYED, or has a broadcast of that name already.
	ErrConflict = errors.New("session cannot be broadcast in its state")
	// ErrNotBroadcasting: a stop of what is not on.
	ErrNotBroadcasting = errors.New("session is not being broadcast")
	// ErrNotFound: no broadcast of that name.
	ErrNotFound = errors.New("broadcast not found")
	// ErrNoCapacity: the machine cannot carry another composition now.
	ErrNoCapacity = errors.New("not enough CPU left for a broadcast, try again later")
	// ErrLayout: a layout that makes no sense.
	ErrLayout = errors.New("layout is not valid")
	ErrClosed = errors.New("broadcast service is closed")
)

// StartError is a broadcast that could not be started; nothing of it goes on.
type StartError struct{ Text string }

// Error gives the text of the API's answer, after that of recordings (§7.1).
func (e *StartError) Error() string { return "Error starting broadcast: " + e.Text }

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_~-]{1,128}$`)

// ValidName says whether a broadcast may be called so: the form of recordings.
func ValidName(s string) bool { return nameForm.MatchString(s) }

// maxTarget bounds the URL of a target, in bytes.
const maxTarget = 2048

// ParseTarget checks the URL of a target and builds it anew from its parts. Control
// characters, spaces, quotes and backslashes are refused, with them the key=value
// tails of librtmp, which are options (robustness §6). Errors never quote the URL.
func ParseTarget(s string) (secret.Secret, error) {
	var none secret.Secret
	if s == "" || len(s) > maxTarget {
		return none, fmt.Errorf("is empty or longer than %d bytes", maxTarget)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\<>", r) }) {
		return none, errors.New("holds characters that must be percent-encoded")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return none, errors.New("is not a URL")
	case !slices.Contains([]string{"rtmp", "rtmps"}, u.Scheme):
		return none, errors.New(`must begin with "rtmp://" or "rtmps://"`)
	case u.Hostname() == "" || u.Opaque != "":
		return none, errors.New("names no host")
	case u.User != nil:
		return none, errors.New("must not hold a name or password")
	case !strings.Contains(strings.Trim(u.Path, "/"), "/") || strings.HasSuffix(u.Path, "/"):
		return none, errors.New("names no application and stream (rtmp://HOST/APPLICATION/STREAM)")
	case u.Fragment != "":
		return none, errors.New(`must not hold "#"`)
	}
	built := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	return secret.New(built.String()), nil
}

func resolution(width, height int) string { return strconv.Itoa(width) + "x" + strconv.Itoa(height) }

// redactText takes everything of a target's URL that authorises out of a text of
// lower layers and bounds it.
func redactText(text string, target secret.Secret) string {
	const most = 200
	if target.Len() > 0 {
		whole := target.Reveal()
		hide := []string{whole}
		if u, err := url.Parse(whole); err == nil {
			hide = append(hide, u.RequestURI(), u.RawQuery, u.EscapedPath(), u.Path)
			parts := strings.Split(strings.Trim(u.Path, "/"), "/")
			hide = append(hide, strings.Join(parts[min(1, len(parts)-1):], "/"))
			hide = append(hide, parts[len(parts)-1])
		}
		for _, h := range hide {
			if len(h) > 1 {
				text = strings.ReplaceAll(text, h, secret.Mask)
			}
		}
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
