// Package kerr holds Kurento's error codes as Go errors. A Code travels up the
// call stack wrapped with context (%w); the RPC edge finds it again with
// errors.As and writes code, name and text on the wire. The package starts no
// goroutines and knows no protocol.
package kerr

import (
	"errors"
	"fmt"
)

// Code is one of Kurento's numeric error codes (KurentoException), or one of
// JSON-RPC 2.0's. It implements error with its name as text.
type Code int

// JSON-RPC 2.0 codes (specification §5.1) and the generic server error.
const (
	ParseError     Code = -32700
	InvalidRequest Code = -32600
	MethodNotFound Code = -32601
	InvalidParams  Code = -32602
	InternalError  Code = -32603
	ServerError    Code = -32000
)

// Kurento codes. 400xx are generic, 401xx objects, 402xx SDP, 403xx HTTP,
// 404xx ICE, 405xx the manager, 406xx URIs, 407xx the player.
const (
	MarshallError        Code = 40001
	UnexpectedError      Code = 40003
	ConnectError         Code = 40004
	UnsupportedMediaType Code = 40005
	NotImplemented       Code = 40006
	InvalidSession       Code = 40007
	MalformedTransaction Code = 40008
	NotEnoughResources   Code = 40009

	MediaObjectTypeNotFound                Code = 40100
	MediaObjectNotFound                    Code = 40101
	MediaObjectConstructorNotFound         Code = 40104
	MediaObjectMethodNotFound              Code = 40105
	MediaObjectEventNotSupported           Code = 40106
	MediaObjectIllegalParam                Code = 40107
	MediaObjectNotAvailable                Code = 40108
	MediaObjectNotFoundTransactionNoCommit Code = 40109
	MediaObjectTagKeyNotFound              Code = 40110
	MediaObjectOperationNotSupported       Code = 40111

	SDPCreateError            Code = 40200
	SDPParseError             Code = 40201
	SDPNoLocalSDP             Code = 40202
	SDPNoRemoteSDP            Code = 40203
	SDPGenerateOfferError     Code = 40204
	SDPProcessOfferError      Code = 40205
	SDPProcessAnswerError     Code = 40206
	SDPConfigurationError     Code = 40207
	SDPAlreadyNegotiated      Code = 40208
	SDPNotOfferGenerated      Code = 40209
	SDPAnswerAlreadyProcessed Code = 40210
	SDPCannotCreateSession    Code = 40211
	HTTPRegistrationError     Code = 40300
	ICEGatherCandidatesError  Code = 40400
	ICEAddCandidateError      Code = 40401
	ServerManagerKmdNotFound  Code = 40500
	URIPathFileNotFound       Code = 40600
	PlayerSeekFail            Code = 40700
)

var names = map[Code]string{
	ParseError: "PARSE_ERROR", InvalidRequest: "INVALID_REQUEST", MethodNotFound: "METHOD_NOT_FOUND",
	InvalidParams: "INVALID_PARAMS", InternalError: "INTERNAL_ERROR", ServerError: "SERVER_ERROR",
	MarshallError: "MARSHALL_ERROR", UnexpectedError: "UNEXPECTED_ERROR", ConnectError: "CONNECT_ERROR",
	UnsupportedMediaType: "UNSUPPORTED_MEDIA_TYPE", NotImplemented: "NOT_IMPLEMENTED", InvalidSession: "INVALID_SESSION",
	MalformedTransaction: "MALFORMED_TRANSACTION", NotEnoughResources: "NOT_ENOUGH_RESOURCES",
	MediaObjectTypeNotFound: "MEDIA_OBJECT_TYPE_NOT_FOUND", MediaObjectNotFound: "MEDIA_OBJECT_NOT_FOUND",
	MediaObjectConstructorNotFound: "MEDIA_OBJECT_CONSTRUCTOR_NOT_FOUND", MediaObjectMethodNotFound: "MEDIA_OBJECT_METHOD_NOT_FOUND",
	MediaObjectEventNotSupported: "MEDIA_OBJECT_EVENT_NOT_SUPPORTED", MediaObjectIllegalParam: "MEDIA_OBJECT_ILLEGAL_PARAM_ERROR",
	MediaObjectNotAvailable:                "MEDIA_OBJECT_NOT_AVAILABLE",
	MediaObjectNotFoundTransactionNoCommit: "MEDIA_OBJECT_NOT_FOUND_TRANSACTION_NO_COMMIT",
	MediaObjectTagKeyNotFound:              "MEDIA_OBJECT_TAG_KEY_NOT_FOUND",
	MediaObjectOperationNotSupported:       "MEDIA_OBJECT_OPERATION_NOT_SUPPORTED",
	SDPCreateError:                         "SDP_CREATE_ERROR", SDPParseError: "SDP_PARSE_ERROR",
	SDPNoLocalSDP: "SDP_END_POINT_NO_LOCAL_SDP_ERROR", SDPNoRemoteSDP: "SDP_END_POINT_NO_REMOTE_SDP_ERROR",
	SDPGenerateOfferError: "SDP_END_POINT_GENERATE_OFFER_ERROR", SDPProcessOfferError: "SDP_END_POINT_PROCESS_OFFER_ERROR",
	SDPProcessAnswerError: "SDP_END_POINT_PROCESS_ANSWER_ERROR", SDPConfigurationError: "SDP_CONFIGURATION_ERROR",
	SDPAlreadyNegotiated: "SDP_END_POINT_ALREADY_NEGOTIATED", SDPNotOfferGenerated: "SDP_END_POINT_NOT_OFFER_GENERATED",
	SDPAnswerAlreadyProcessed: "SDP_END_POINT_ANSWER_ALREADY_PROCCESED", SDPCannotCreateSession: "SDP_END_POINT_CANNOT_CREATE_SESSON",
	HTTPRegistrationError: "HTTP_END_POINT_REGISTRATION_ERROR", ICEGatherCandidatesError: "ICE_GATHER_CANDIDATES_ERROR",
	ICEAddCandidateError: "ICE_ADD_CANDIDATE_ERROR", ServerManagerKmdNotFound: "SERVER_MANAGER_ERROR_KMD_NOT_FOUND",
	URIPathFileNotFound: "URI_PATH_FILE_NOT_FOUND", PlayerSeekFail: "PLAYER_SEEK_FAIL",
}

// Name is the code's name as Kurento writes it into error.data.type
// (spelling mistakes included, clients compare them); "UNDEFINED" when unknown.
func (c Code) Name() string {
	if n, ok := names[c]; ok {
		return n
	}
	return "UNDEFINED"
}

// Error implements error; it is the name, because context is added by wrapping.
func (c Code) Error() string { return c.Name() }

// Error is a code with the exact text that goes on the wire. Build it with New
// where clients or transcripts fix the wording; wrap a bare Code elsewhere.
type Error struct {
	Code Code
	Text string
	// Data overrides error.data on the wire when not nil.
	Data any
}

// New makes an Error with a formatted text.
func New(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Text: fmt.Sprintf(format, args...)}
}

// Error implements error with the wire text.
func (e *Error) Error() string { return e.Text }

// Unwrap lets errors.Is find the bare code.
func (e *Error) Unwrap() error { return e.Code }

// Of finds the code in err. Without one it is UnexpectedError and false: that
// is our own bug and deserves an Error log at the edge.
func Of(err error) (Code, bool) {
	if c, ok := errors.AsType[Code](err); ok {
		return c, true
	}
	return UnexpectedError, false
}
