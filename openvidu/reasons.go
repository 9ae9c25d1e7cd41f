package openvidu

// Reason says why something ended; the texts are the contract's (REST contract
// §11.3) and reach browsers, webhooks and the CDR.
type Reason string

// The reasons of the contract.
const (
	ReasonUnsubscribe           Reason = "unsubscribe"
	ReasonUnpublish             Reason = "unpublish"
	ReasonDisconnect            Reason = "disconnect"
	ReasonForceUnpublishUser    Reason = "forceUnpublishByUser"
	ReasonForceUnpublishServer  Reason = "forceUnpublishByServer"
	ReasonForceDisconnectUser   Reason = "forceDisconnectByUser"
	ReasonForceDisconnectServer Reason = "forceDisconnectByServer"
	ReasonLastParticipantLeft   Reason = "lastParticipantLeft"
	ReasonRecordingStopped      Reason = "recordingStoppedByServer"
	ReasonBroadcastStopped      Reason = "broadcastStoppedByServer"
	ReasonSessionClosed         Reason = "sessionClosedByServer"
	ReasonNetworkDisconnect     Reason = "networkDisconnect"
	ReasonMediaServerDisconnect Reason = "mediaServerDisconnect"
	ReasonMediaServerReconnect  Reason = "mediaServerReconnect"
	ReasonNodeCrashed           Reason = "nodeCrashed"
	ReasonServerStopped         Reason = "openviduServerStopped"
	ReasonAutomaticStop         Reason = "automaticStop"
)

// ofSession is the reason a session or its recording gives when it ends because
// its last participant left for reason r.
func (r Reason) ofSession() Reason {
	switch r {
	case ReasonDisconnect, ReasonForceDisconnectUser, ReasonForceDisconnectServer, ReasonNetworkDisconnect:
		return ReasonLastParticipantLeft
	}
	return r
}
