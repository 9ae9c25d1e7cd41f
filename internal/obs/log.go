package obs

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Attribute names, fixed so that one query finds a thing in every package's log.
const (
	AttrNode       = "nodeId"
	AttrSession    = "sessionId"
	AttrConnection = "connectionId"
	AttrStream     = "streamId"
	AttrPipeline   = "pipelineId"
	AttrElement    = "elementId"
	AttrRecording  = "recordingId"
	AttrKMSURI     = "kmsUri"
	AttrRequest    = "requestId"
	AttrErr        = "err"
)

// MaxQuoted is how many bytes of a remote string Quote lets into a log line.
const MaxQuoted = 256

// NewLogger makes the process's logger. level is debug, info, warn or error;
// format is text or json. Both are matched without regard to case.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("read log level %q: want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch strings.ToLower(format) {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("read log format %q: want text or json", format)
}

// Quote makes a string that came from outside fit for a log line: control
// characters, line breaks and invalid UTF-8 escaped, quotes around it, cut at
// MaxQuoted bytes on a character boundary with the full length noted.
func Quote(s string) string {
	if len(s) <= MaxQuoted {
		return strconv.Quote(s)
	}
	cut := MaxQuoted
	for cut > MaxQuoted-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "… (" + strconv.Itoa(len(s)) + " bytes)"
}

// Remote is a log attribute holding a string that came from outside, quoted and
// cut by Quote.
func Remote(key, value string) slog.Attr { return slog.String(key, Quote(value)) }
