package transport

import "github.com/govidu/govidu/elements/webrtc/transport/ice"

// ICEState is the state of a Peer's one ICE component (RFC 8445).
type ICEState uint8

// The states of ICE.
const (
	ICENew ICEState = iota
	ICEChecking
	ICEConnected
	ICEDisconnected
	ICEFailed
	ICEClosed
)

func iceStateOf(s ice.State) ICEState {
	switch s {
	case ice.StateChecking:
		return ICEChecking
	case ice.StateConnected:
		return ICEConnected
	case ice.StateDisconnected:
		return ICEDisconnected
	case ice.StateFailed:
		return ICEFailed
	case ice.StateClosed:
		return ICEClosed
	}
	return ICENew
}

// DTLSState is the state of a Peer's DTLS association (RFC 5764).
type DTLSState uint8

// The states of DTLS.
const (
	DTLSNew DTLSState = iota
	DTLSConnecting
	DTLSConnected
	DTLSClosed
	DTLSFailed
)
