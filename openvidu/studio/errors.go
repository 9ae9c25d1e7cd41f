package studio

import (
	"errors"

	"github.com/govidu/govidu/internal/kerr"
)

// Kinds of refusal, found with errors.Is.
var (
	// ErrLayout: the layout is not one, or names what is not there.
	ErrLayout = errors.New("layout is not valid")
	// ErrPage: the layout is a web page, which a browser would have to draw.
	ErrPage = errors.New("layout is a web page")
	// ErrNoCapacity: the media node has not got the CPU for it now.
	ErrNoCapacity = errors.New("media node has no capacity left")
	// ErrUnavailable: the media node cannot compose, it runs without media workers.
	ErrUnavailable = errors.New("media node cannot compose pictures")
	// ErrLost: the media node is gone, and everything on it.
	ErrLost = errors.New("media node is gone")
	// ErrClosed: the studio, or the service, was closed.
	ErrClosed = errors.New("studio is closed")
	// ErrMedia: the media node failed in another way.
	ErrMedia = errors.New("media node failed")
)

// Error is a refusal with a text that callers of the API may read: it holds no
// path, no address and nothing of a lower layer. Err, when set, is what lies
// under it, for the log.
type Error struct {
	Kind error
	Text string
	Err  error
}

// Error gives the text.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func refuse(kind error, text string) *Error { return &Error{Kind: kind, Text: text} }

// mediaError turns a node's failure into a refusal.
func (s *stage) mediaError(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	e := &Error{Kind: ErrMedia, Text: what + ": " + ErrMedia.Error(), Err: err}
	switch {
	case s.lost():
		e.Kind, e.Text = ErrLost, what+": "+ErrLost.Error()
	case errors.Is(err, kerr.NotEnoughResources):
		e.Kind, e.Text = ErrNoCapacity, what+": the server has not enough CPU left for it, try again later or ask for a smaller picture or a lower frame rate"
	case errors.Is(err, kerr.MediaObjectNotAvailable), errors.Is(err, kerr.MediaObjectTypeNotFound):
		e.Kind, e.Text = ErrUnavailable, what+": this server runs without media workers, which compose pictures"
	case errors.Is(err, kerr.MarshallError), errors.Is(err, kerr.MediaObjectIllegalParam):
		e.Kind, e.Text = ErrLayout, what+": the media node refuses the layout, the size or the frame rate"
	}
	return e
}
