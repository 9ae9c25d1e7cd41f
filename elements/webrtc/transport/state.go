package transport

import "github.com/pion/webrtc/v4"

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

func iceStateOf(s webrtc.ICEConnectionState) ICEState {
	switch s {
	case webrtc.ICEConnectionStateChecking:
		return ICEChecking
	case webrtc.ICEConnectionStateConnected, webrtc.ICEConnectionStateCompleted:
		return ICEConnected
	case webrtc.ICEConnectionStateDisconnected:
		return ICEDisconnected
	case webrtc.ICEConnectionStateFailed:
		return ICEFailed
	case webrtc.ICEConnectionStateClosed:
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

func dtlsStateOf(s webrtc.DTLSTransportState) DTLSState {
	switch s {
	case webrtc.DTLSTransportStateConnecting:
		return DTLSConnecting
	case webrtc.DTLSTransportStateConnected:
		return DTLSConnected
	case webrtc.DTLSTransportStateClosed:
		return DTLSClosed
	case webrtc.DTLSTransportStateFailed:
		return DTLSFailed
	}
	return DTLSNew
}
