package jsonrpc

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Codes of JSON-RPC 2.0 §5.1, and the generic server error.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
	CodeServer         = -32000
)

// Limits of what an envelope may hold.
const (
	MaxDepth = 64 // nested arrays and objects
	MaxID    = 64 // bytes of an id as it was sent
)

// Error is the error member of a reply. Data may be nil.
type Error struct {
	Code    int    `json:"code"`
	Data    any    `json:"data,omitempty"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// Request is one incoming request or notification.
type Request struct {
	// ID is the id as it was sent, to be echoed; nil for a notification (no id,
	// or null).
	ID     json.RawMessage
	Method string
	// Params is nil when absent or null.
	Params json.RawMessage
	// Conn is where it came from.
	Conn Conn
	// Data is for the handler: Route may leave there what Handle needs.
	Data any
}

// The field order of replies is alphabetical, as the original media server
// writes; some clients' fixtures compare texts.
type resultReply struct {
	ID      json.RawMessage `json:"id"`
	Version string          `json:"jsonrpc"`
	Result  any             `json:"result"`
}

type errorReply struct {
	Error   *Error          `json:"error"`
	ID      json.RawMessage `json:"id"`
	Version string          `json:"jsonrpc"`
}

// Notification is an outgoing message without id.
type Notification struct {
	Version string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

// NewNotification makes a notification.
func NewNotification(method string, params any) Notification {
	return Notification{"2.0", method, params}
}

// Result builds the reply to id (nil is written as null).
func Result(id json.RawMessage, result any) any {
	return resultReply{orNull(id), "2.0", result}
}

// Failure builds the error reply to id (nil is written as null).
func Failure(id json.RawMessage, err *Error) any {
	return errorReply{err, orNull(id), "2.0"}
}

func orNull(id json.RawMessage) json.RawMessage {
	if id == nil {
		return json.RawMessage("null")
	}
	return id
}

var (
	parseError     = &Error{Code: CodeParse, Message: "Parse error."}
	invalidRequest = &Error{Code: CodeInvalidRequest, Message: "Invalid JSON-RPC request."}
)

// ParseRequest reads a request's envelope strictly: an object (batches are not
// supported) with jsonrpc "2.0", a text method, and an id that is a number, a
// text or null. Unknown members are ignored.
func ParseRequest(frame []byte) (*Request, *Error) {
	if !shallow(frame) || !json.Valid(frame) {
		return nil, parseError
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(frame, &m); err != nil || m == nil {
		return nil, invalidRequest
	}
	version, ok1 := text(m["jsonrpc"])
	method, ok2 := text(m["method"])
	if !ok1 || version != "2.0" || !ok2 {
		return nil, invalidRequest
	}
	r := &Request{Method: method, Params: present(m["params"])}
	if id := present(m["id"]); id != nil {
		if c := id[0]; len(id) > MaxID || c != '"' && c != '-' && (c < '0' || c > '9') {
			return nil, invalidRequest
		}
		r.ID = id
	}
	return r, nil
}

func present(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

func text(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// shallow tells whether brackets outside texts nest at most MaxDepth deep.
func shallow(frame []byte) bool {
	depth, inText, escaped := 0, false, false
	for _, c := range frame {
		switch {
		case escaped:
			escaped = false
		case inText:
			escaped, inText = c == '\\', c != '"'
		case c == '"':
			inText = true
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}
