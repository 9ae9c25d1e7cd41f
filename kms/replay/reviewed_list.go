package replay

// Reviewed are the differences between Govidu and the recorded server that were
// looked at, and why each is right.
var Reviewed = []Entry{
	{
		Kind: Closed, Theirs: "closed 1006", Ours: "error -32700",
		Reason: "the original drops a connection that sends no JSON; we answer that it cannot be parsed",
	},
	{
		Kind: Code, Theirs: "-32603", Ours: "-32602", File: "08-.*",
		Reason: "params that are no object are invalid params, not an internal error",
	},
	{
		Kind: Code, Theirs: "-32603", Ours: "40001", File: "07-.*",
		Reason: "an object of the wrong class is a wrong parameter, not an internal error",
	},
	{
		Kind: Value, At: ".* getSessions of manager_ServerManager", Path: `result\.value`,
		Reason: "the original lists an empty text for every session, and those of its other clients",
	},
	{
		Kind: Value, At: "request 2 connect", File: "09-sessions", Path: `result\.sessionId`, Theirs: "",
		Reason: "an empty sessionId is none: connect makes a new one instead of a session without a name",
	},

	// Session descriptions.
	{
		Kind: SDP, Theirs: "a=setup:active", Ours: none,
		Reason: "our answers are passive (next entry)",
	},
	{
		Kind: SDP, Theirs: none, Ours: "a=setup:passive",
		Reason: "the peer begins the DTLS handshake, so that it begins as soon as the peer can be heard",
	},
	{
		Kind: SDP, Theirs: "s=Kurento Media Server", Ours: none,
		Reason: "the session's name is of no meaning (RFC 8866 §5.3), and we are not Kurento Media Server",
	},
	{
		Kind: SDP, Theirs: none, Ours: "s=-",
		Reason: "the session's name is of no meaning (RFC 8866 §5.3)",
	},
	{
		Kind: SDP, Theirs: none, Ours: `a=rtcp-fb:\S+ transport-cc|a=extmap:\d+ http://www\.ietf\.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`,
		Reason: "congestion control of today's browsers, beside REMB",
	},
	{
		Kind: SDP, Theirs: none, Ours: `a=rtpmap:\S+ rtx/90000|a=rtpmap:rtx rtx/90000|a=fmtp:\S+ apt=\S+|a=ssrc-group:FID .*|a=ssrc:# cname:@`,
		Reason: "lost packets are sent again (RTX), which the original cannot",
	},
	{
		Kind: SDP, Theirs: none, Ours: `a=extmap:\d+ urn:ietf:params:rtp-hdrext:(sdes:mid|ssrc-audio-level)`,
		Reason: "header extensions of BUNDLE (RFC 9143) and of who speaks, taken when the peer has them",
	},
	{
		Kind: SDP, Theirs: none, Ours: `a=extmap:\d+ http://www\.webrtc\.org/experiments/rtp-hdrext/abs-capture-time`,
		Reason: "the time at which the sender took a sample, which keeps picture and sound of recordings together from the first packet",
	},
	{
		Kind: SDP, Theirs: none, Ours: `a=extmap:\d+ https://aomediacodec\.github\.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension|a=extmap-allow-mixed`,
		Reason: "the layers of a picture, by which it is forwarded; they need the longer form of header extensions (RFC 8285 §6)",
	},
	{
		Kind: SDP, Path: `.*\.video`, Theirs: none, Ours: `a=extmap:\d+ http://www\.webrtc\.org/experiments/rtp-hdrext/playout-delay`,
		Reason: "how long pictures wait before they are shown, so that what is lost comes again in time",
	},
	{
		Kind: SDP, Path: `.*\.audio`, Theirs: none, Ours: `a=(rtpmap:(red|\d+) red/48000/2|fmtp:(red|\d+) 111/111)`,
		Reason: "packets of sound carry those before them again (RED, RFC 2198) while some are lost",
	},
	{
		Kind: SDP, Path: `.*\.audio`, Theirs: `m=audio # UDP/TLS/RTP/SAVPF [\d ]+`, Ours: none,
		Reason: "the same codecs, with RED beside them (next entry)",
	},
	{
		Kind: SDP, Path: `.*\.audio`, Theirs: none, Ours: `m=audio # UDP/TLS/RTP/SAVPF [\d ]+`,
		Reason: "the same codecs, with RED beside them",
	},
	{
		Kind: SDP, Theirs: none, Ours: `a=msid:.*|a=ssrc:# msid:.*|a=ice-options:trickle|a=rtcp-rsize|a=max-message-size:\d+`,
		Reason: "attributes of JSEP (RFC 8829) that the original leaves out and browsers write themselves",
	},
	{
		Kind: SDP, At: ".* (generateOffer|processAnswer|getLocalSessionDescriptor) of WebRtcEndpoint",
		Theirs: `(|m=(audio|video) # .*|a=(rtpmap|fmtp|rtcp-fb):(opus|PCMU|PCMA|AV1|VP8|VP9|H264) .*)`, Ours: `(|m=(audio|video) # .*|a=(rtpmap|fmtp|rtcp-fb):(opus|PCMU|PCMA|AV1|VP8|VP9|H264) .*)`,
		Reason: "our offers have more profiles of H264 and AV1, their own order of codecs, and the parameters that browsers expect",
	},
	{
		Kind: SDP, Path: `.*\.video`, Theirs: `m=video # UDP/TLS/RTP/SAVPF [\d ]+`, Ours: none,
		Reason: "the same codecs, with RTX beside them (next entry)",
	},
	{
		Kind: SDP, Path: `.*\.video`, Theirs: none, Ours: `m=video # UDP/TLS/RTP/SAVPF [\d ]+`,
		Reason: "the same codecs, with RTX beside them",
	},
	{
		Kind: SDP, File: "05-.*", At: "request 49 invoke processOffer of WebRtcEndpoint",
		Theirs: `(|m=(audio|video) # .*|a=(rtpmap|fmtp|rtcp-fb):\d+ .*)`, Ours: `(|m=(audio|video) # .*|a=(rtpmap|fmtp|rtcp-fb):\d+ .*)`,
		Reason: "here one endpoint answers another's offer: the answer has the payload types and codecs of our offer",
	},
	{
		Kind: SDP, Path: `.*\.application`, Theirs: `a=sctp-port:\d+`, Ours: none,
		Reason: "the SCTP port is any number; 5000 is everybody's (RFC 8841 §5)",
	},
	{
		Kind: SDP, Path: `.*\.application`, Theirs: none, Ours: `a=sctp-port:5000|a=sendrecv`,
		Reason: "the SCTP port is any number; 5000 is everybody's (RFC 8841 §5)",
	},
	{
		Kind: SDP, At: ".* generateOffer of WebRtcEndpoint", Theirs: "a=ssrc:# cname:@", Ours: none,
		Reason: "an endpoint that only receives names no ssrc of its own",
	},
	{
		Kind: SDP, At: ".* getLocalSessionDescriptor .*", Theirs: `(|a=candidate:.*|c=IN IP4 .*|a=rtcp:# IN IP4 .*)`, Ours: `(|a=candidate:.*|c=IN IP4 .*|a=rtcp:# IN IP4 .*)`,
		Reason: "the candidates are those below; the default address stays open, as peers of ICE do not use it",
	},
	{
		Kind: SDP, At: ".* getRemoteSessionDescriptor .*", Theirs: `a=candidate:.*`, Ours: none,
		Reason: "the remote description is what the peer sent; candidates that trickle in later are not written into it",
	},

	// ICE: one UDP socket and one TCP port for all, RTP and RTCP on one component.
	{
		Kind: Value, At: "event IceCandidateFound of WebRtcEndpoint", Path: `.*\.candidate\.candidate`,
		Reason: "one UDP and one passive TCP candidate per address and no active TCP ones, all of component 1: RTCP shares the port of RTP",
	},
	{
		Kind: Event, At: "event IceCandidateFound of WebRtcEndpoint",
		Reason: "as many candidates as this machine has addresses; none of component 2, which RTCP does not need",
	},
	{
		Kind: Value, At: ".*(NewCandidatePairSelected|getICECandidatePairs) of WebRtcEndpoint", Path: `.*\.(local|remote)Candidate`,
		Reason: "component 2 is told of with the candidates of component 1, which carry it",
	},
	{
		Kind: Event, At: "event NewCandidatePairSelected of WebRtcEndpoint", Theirs: "none",
		Reason: "a better pair is told of when it is selected later",
	},
	{
		Kind: Event, At: "event IceComponentStateChanged of WebRtcEndpoint", Theirs: "none", Ours: `.*"componentId":2.*`,
		Reason: "component 2 goes through the states of component 1, which carries it",
	},
	{
		Kind: Value, At: ".* getIceConnectionState of WebRtcEndpoint", Path: `.*\[1\]\.state`,
		Reason: "component 2 goes through the states of component 1, which carries it",
	},
	{
		Kind: Event, At: "event (IceComponentStateChanged|ConnectionStateChanged|MediaStateChanged) of WebRtcEndpoint", Theirs: "none", Ours: `.*"DISCONNECTED".*`,
		Reason: "that the other endpoint was released is noticed by its farewell; the original waits for its time-outs",
	},
	{
		Kind: Value, At: ".* getNetworkInterfaces of WebRtcEndpoint", Theirs: "lo",
		Reason: "the recorded server was configured for lo",
	},

	// Connections.
	endOfConnection("AUDIO"), endOfConnection("VIDEO"), endOfConnection("DATA"),

	// Media.
	{
		Kind: Event, At: "event MediaFlow(In|Out)StateChanged of .*", Theirs: "none", Ours: `.*"NOT_FLOWING".*`,
		Reason: "the end of the flow is told at every element, two seconds after it; when the recording ended earlier is chance",
	},
}

// endOfConnection is for two PassThroughs that are still connected to a third one when
// their pipeline is released by the last request of a recording.
func endOfConnection(media string) Entry {
	return Entry{
		Kind: Event, File: "06-connect-elements", At: "event ElementDisconnected of PassThrough", After: "request 48 release of MediaPipeline", Theirs: "none",
		Ours: `{"mediaType":"` + media + `","sink":"[^"]+_kurento\.MediaPipeline/[^"/]+_kurento\.PassThrough","sinkMediaDescription":"default","sourceMediaDescription":"default"}`,
		Most: 2, Reason: "connections end with their pipeline, which is told after the answer to its release: whether before the recording's end is chance",
	}
}

// none is the pattern of a line only one side has.
const none = "^$"
