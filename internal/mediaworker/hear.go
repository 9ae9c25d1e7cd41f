//go:build gst

package mediaworker

import (
	"strings"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// hear deals with a message of the bus, on the owner.
func (w *worker) hear(m gst.Message) {
	// Bins of the base carry their place in their names: in-7, out-8.
	if own, ours := ownBin(m.Path); ours {
		switch m.Type {
		case "error":
			w.broken(own, m)
		case "warning":
			w.log.Debug("warning", "from", m.Source, "text", m.Text, "debug", m.Debug)
		case "latency":
			w.pipe.Latency()
		}
		return
	}
	if w.job != nil && w.job.message(m) {
		return
	}
	switch m.Type {
	case "latency":
		w.pipe.Latency()
	case "error":
		kind, code := errorType(m)
		w.fatal(kind, code, m.Text+" ("+m.Source+")")
	case "warning":
		w.log.Warn("warning", "from", m.Source, "text", m.Text, "debug", m.Debug)
	}
}

// broken mends a bin of ours that failed: decoders and encoders are made anew. Bins that have been removed say errors too, while they go.
func (w *worker) broken(bin string, m gst.Message) {
	kind, code := errorType(m)
	for _, in := range w.inputs {
		if in.bin.Name() == bin {
			w.fail(wire.ErrorData{Type: kind, Code: int(code), Text: m.Text, Input: in.params.Name})
			w.renew(in)
			return
		}
	}
	for _, o := range w.outputs {
		if o.bin != nil && o.bin.Name() == bin {
			w.fail(wire.ErrorData{Type: "STREAM_ERROR_ENCODE", Code: int(code), Text: m.Text + " (" + o.port + " as " + o.media.Codec + ")"})
			o.renew()
			return
		}
	}
}

// ownBin finds the base's bin in an element's path.
func ownBin(path string) (name string, ok bool) {
	for part := range strings.SplitSeq(path, "/") {
		_, name, found := strings.Cut(part, ":")
		if found && (strings.HasPrefix(name, "in-") || strings.HasPrefix(name, "out-")) {
			return name, true
		}
	}
	return "", false
}

// errorType translates GStreamer's domains and codes (GstResourceError,
// GstStreamError) to the types of Kurento's Error event.
func errorType(m gst.Message) (string, kerr.Code) {
	pick := func(prefix string, names []string) string {
		if m.Code > 0 && m.Code < len(names) {
			return prefix + names[m.Code]
		}
		return prefix + "FAILED"
	}
	switch m.Domain {
	case gst.ResourceError:
		return pick("RESOURCE_ERROR_", []string{"", "FAILED", "TOO_LAZY", "NOT_FOUND", "BUSY", "OPEN_READ", "OPEN_WRITE", "OPEN_READ_WRITE", "CLOSE", "READ", "WRITE", "SEEK", "SYNC", "SETTINGS", "NO_SPACE_LEFT", "NOT_AUTHORIZED"}), kerr.UnexpectedError
	case gst.StreamError:
		return pick("STREAM_ERROR_", []string{"", "FAILED", "TOO_LAZY", "NOT_IMPLEMENTED", "TYPE_NOT_FOUND", "WRONG_TYPE", "CODEC_NOT_FOUND", "DECODE", "ENCODE", "DEMUX", "MUX", "FORMAT", "DECRYPT", "DECRYPT_NOKEY"}), kerr.UnexpectedError
	case gst.CoreError:
		return "CORE_ERROR", kerr.UnexpectedError
	case gst.LibraryError:
		return "LIBRARY_ERROR", kerr.UnexpectedError
	}
	return "UNEXPECTED_ERROR", kerr.UnexpectedError
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
