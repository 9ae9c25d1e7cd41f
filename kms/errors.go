package kms

import (
	"errors"
	"fmt"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/kerr"
)

// clip bounds what of the caller's text goes into an error; a child's id has
// about 120 bytes.
func clip(s string) string {
	if len(s) > 256 {
		return s[:256]
	}
	return s
}

func notFound(id string) error {
	return kerr.New(kerr.MediaObjectNotFound, "Object '%s' not found", clip(id))
}

func internalError(format string, args ...any) error {
	return kerr.New(kerr.InternalError, "%s", fmt.Sprintf(format, args...))
}

// wireError turns an error into the reply's error member; known is false when
// it carried no code, which is a bug of ours.
func wireError(err error) (e *jsonrpc.Error, known bool) {
	code, known := kerr.Of(err)
	e = &jsonrpc.Error{Code: int(code), Message: err.Error()}
	var text *kerr.Error
	if errors.As(err, &text) {
		e.Message, e.Data = text.Text, text.Data
	}
	switch {
	case e.Data != nil:
	case code == kerr.InternalError:
		e.Message = "Unexpected error while processing method: " + e.Message
	case code == kerr.ServerError, code == kerr.MethodNotFound:
		// These have no data in the original.
	default:
		e.Data = map[string]any{"type": code.Name()}
	}
	return e, known
}
