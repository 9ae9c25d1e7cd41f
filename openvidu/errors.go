package openvidu

import (
	"errors"
	"fmt"
	"time"
)

// Code is one of the OpenVidu error codes that travel in a signalling error
// (signalling contract §9). rest maps it to an HTTP status in one table.
type Code int

// The codes a client may see.
const (
	CodeUserGeneric            Code = 10
	CodeUserNotFound           Code = 102
	CodeUserClosed             Code = 103
	CodeExistingUser           Code = 104
	CodeUserNotStreaming       Code = 105
	CodeUserAlreadyStreaming   Code = 106
	CodeRoomGeneric            Code = 201
	CodeRoomNotFound           Code = 202
	CodeRoomClosed             Code = 203
	CodeRoomCannotBeCreated    Code = 204
	CodeMediaGeneric           Code = 301
	CodeMediaSDP               Code = 302
	CodeMediaEndpoint          Code = 303
	CodeMediaWebRTCEndpoint    Code = 304
	CodeMediaRTPEndpoint       Code = 305
	CodeMediaNotWebEndpoint    Code = 306
	CodeMediaMute              Code = 307
	CodeUnauthorized           Code = 401
	CodeRoleNotFound           Code = 402
	CodeSessionIDInvalid       Code = 403
	CodeTokenCannotBeCreated   Code = 404
	CodeFilterApplied          Code = 405
	CodeFilterNotApplied       Code = 406
	CodeFilterListenerNotFound Code = 407
	CodePublisherNotFound      Code = 408
	CodeUserMetadata           Code = 500
	CodeSignalFormat           Code = 600
	CodeSignalTo               Code = 601
	CodeForcedCodec            Code = 800
	CodeTransportRequest       Code = 801
	CodeTransportResponse      Code = 802
	CodeTransport              Code = 803
	CodeMediaNodeNotFound      Code = 900
	CodeServiceNotEnabled      Code = 996
	CodeWrongEdition           Code = 997
	CodeGeneric                Code = 999
	CodeReconnection           Code = 40007
	// CodeMissingParameter answers a missing or mistyped mandatory parameter.
	CodeMissingParameter Code = -1
)

// Error is a refusal with a code for the wire and a text for people, which holds
// no secret, path or stack. Kind, when set, is one of the sentinel errors below
// and is found with errors.Is.
type Error struct {
	Code Code
	Text string
	Kind error
	// RetryAfter, when not 0, is when the same request may be granted.
	RetryAfter time.Duration
}

// Error gives the text.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the sentinel.
func (e *Error) Unwrap() error { return e.Kind }

// Sentinels: what the doors translate. Every error of a Manager method that
// concerns them wraps one.
var (
	ErrSessionNotFound    = errors.New("session not found")
	ErrSessionExists      = errors.New("session exists already")
	ErrSessionClosing     = errors.New("session is closing")
	ErrSessionNotActive   = errors.New("session is not active")
	ErrConnectionNotFound = errors.New("connection not found")
	ErrStreamNotFound     = errors.New("stream not found")
	ErrIPCamStream        = errors.New("stream belongs to an IP camera")
	ErrSignalTarget       = errors.New("signal target is not in the session")
	ErrLimit              = errors.New("limit reached")
	ErrInvalid            = errors.New("invalid parameter")
	ErrUnsupported        = errors.New("not supported")
	ErrMedia              = errors.New("media node failed")
	ErrBusy               = errors.New("server is overloaded")
	ErrStopped            = errors.New("server is stopping")
)

// errf makes an Error.
func errf(code Code, kind error, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...), Kind: kind}
}
