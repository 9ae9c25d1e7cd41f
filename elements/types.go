package elements

import "context"

func onMedia[P, R any](f func(*MediaObject, context.Context, P) (R, error)) func(Node, context.Context, P) (R, error) {
	return func(n Node, ctx context.Context, p P) (R, error) { return f(n.Media(), ctx, p) }
}

func onElement[P, R any](f func(*MediaElement, context.Context, P) (R, error)) func(Element, context.Context, P) (R, error) {
	return func(e Element, ctx context.Context, p P) (R, error) { return f(e.Base(), ctx, p) }
}

func getMedia[V any](f func(*MediaObject) V) func(Node) V {
	return func(n Node) V { return f(n.Media()) }
}

func setMedia[V any](f func(*MediaObject, V) error) func(Node, V) error {
	return func(n Node, v V) error { return f(n.Media(), v) }
}

func getElement[V any](f func(*MediaElement) V) func(Element) V {
	return func(e Element) V { return f(e.Base()) }
}

func setElement[V any](f func(*MediaElement, V) error) func(Element, V) error {
	return func(e Element, v V) error { return f(e.Base(), v) }
}

// mediaPipelineOf is null only for objects outside a pipeline (ServerManager).
func mediaPipelineOf(n Node) Object {
	if p := n.Media().PipelineObject(); p != nil {
		return p
	}
	return nil
}

// Types are the classes every build has: the abstract ancestors and MediaPipeline.
func Types() []Type {
	return []Type{
		{
			Name: "MediaObject", Module: "core", Abstract: true,
			Doc: "Base of everything that lives in the media server.",
			Members: []Member{
				Property[Node, Object]("mediaPipeline", mediaPipelineOf, nil),
				Property[Node, Object]("parent", getMedia((*MediaObject).Parent), nil),
				Property[Node, string]("id", Node.ID, nil),
				Property[Node, []Object]("children", getMedia((*MediaObject).Children), nil),
				Property[Node, []Object]("childs", getMedia((*MediaObject).Children), nil), // 6.x spelling
				Property("name", getMedia((*MediaObject).Name), setMedia((*MediaObject).SetName)),
				Property("sendTagsInEvents", getMedia((*MediaObject).SendTagsInEvents), setMedia((*MediaObject).SetSendTagsInEvents)),
				Property[Node, int]("creationTime", getMedia((*MediaObject).CreationTime), nil),
				Method("addTag", onMedia((*MediaObject).addTag)),
				Method("removeTag", onMedia((*MediaObject).removeTag)),
				Method("getTag", onMedia((*MediaObject).getTag)),
				Method("getTags", func(n Node, _ context.Context, _ None) ([]Tag, error) { return n.Media().Tags(), nil }),
				Event[ErrorFields]("Error"),
			},
		},
		{
			Name: "MediaPipeline", Extends: "MediaObject", Module: "core",
			Doc: "Container of the elements of one media graph.",
			New: New(NewMediaPipeline),
			Members: []Member{
				Property("latencyStats", (*MediaPipeline).LatencyStats, (*MediaPipeline).SetLatencyStats),
				Method("getGstreamerDot", (*MediaPipeline).getGstreamerDot),
				Method("dumpGstreamerDot", (*MediaPipeline).dumpGstreamerDot),
			},
		},
		{
			Name: "MediaElement", Extends: "MediaObject", Module: "core", Abstract: true,
			Doc: "Something with media ports that can be connected.",
			Members: []Member{
				Method("connect", onElement((*MediaElement).connect)),
				Method("disconnect", onElement((*MediaElement).disconnect)),
				Method("getSourceConnections", onElement((*MediaElement).sourceConnections)),
				Method("getSinkConnections", onElement((*MediaElement).sinkConnections)),
				Method("setAudioFormat", onElement((*MediaElement).setAudioFormat)),
				Method("setVideoFormat", onElement((*MediaElement).setVideoFormat)),
				Method("getGstreamerDot", onElement((*MediaElement).getGstreamerDot)),
				Method("dumpGstreamerDot", onElement((*MediaElement).dumpGstreamerDot)),
				Method("getStats", onElement((*MediaElement).getStats)),
				Method("isMediaFlowingIn", onElement((*MediaElement).isMediaFlowingIn)),
				Method("isMediaFlowingOut", onElement((*MediaElement).isMediaFlowingOut)),
				Method("isMediaTranscoding", onElement((*MediaElement).isMediaTranscoding)),
				Property("encoderBitrate", getElement((*MediaElement).encoderBitrate), setElement((*MediaElement).setEncoderBitrate)),
				Property("minEncoderBitrate", getElement((*MediaElement).minEncoderBitrate), setElement((*MediaElement).setMinEncoderBitrate)),
				Property("maxEncoderBitrate", getElement((*MediaElement).maxEncoderBitrate), setElement((*MediaElement).setMaxEncoderBitrate)),
				// The 6.x names of the same, the misspelt ones included.
				Property("minOutputBitrate", getElement((*MediaElement).minEncoderBitrate), setElement((*MediaElement).setMinEncoderBitrate)),
				Property("minOuputBitrate", getElement((*MediaElement).minEncoderBitrate), setElement((*MediaElement).setMinEncoderBitrate)),
				Property("maxOutputBitrate", getElement((*MediaElement).maxEncoderBitrate), setElement((*MediaElement).setMaxEncoderBitrate)),
				Property("maxOuputBitrate", getElement((*MediaElement).maxEncoderBitrate), setElement((*MediaElement).setMaxEncoderBitrate)),
				Method("setOutputBitrate", onElement((*MediaElement).setOutputBitrate)),
				Event[ConnectionFields]("ElementConnected"),
				Event[ConnectionFields]("ElementDisconnected"),
				Event[FlowFields]("MediaFlowInStateChanged"),
				Event[FlowFields]("MediaFlowOutStateChanged"),
				Event[TranscodingFields]("MediaTranscodingStateChanged"),
				// The 6.x names, independent of the others.
				Event[FlowFields]("MediaFlowInStateChange"),
				Event[FlowFields]("MediaFlowOutStateChange"),
				Event[TranscodingFields]("MediaTranscodingStateChange"),
			},
		},
		{Name: "Filter", Extends: "MediaElement", Module: "core", Abstract: true, Doc: "An element that changes what passes."},
		{Name: "Endpoint", Extends: "MediaElement", Module: "core", Abstract: true, Doc: "An element where media enters or leaves the graph."},
		{
			Name: "SessionEndpoint", Extends: "Endpoint", Module: "core", Abstract: true,
			Doc: "An endpoint with a session to a peer.",
			Members: []Member{
				Event[None]("MediaSessionStarted"),
				Event[None]("MediaSessionTerminated"),
			},
		},
		sdpEndpointType, baseRtpEndpointType, uriEndpointType,
	}
}
