// Package elements describes media object types so that they can be created,
// invoked and subscribed to by name: Type, Method, Property, Event, the Registry
// that knows them all, and the bases MediaObject and MediaElement that every
// type embeds. It leaves the wire to kms and the media to the families
// (elements/webrtc, elements/uri, …), which it never imports.
//
// Goroutines: one flow monitor per MediaPipeline, started with the first port
// and ended by the pipeline's Close. Names, parameters and error texts follow
// Kurento's interface definition (kurento-elements §1–§4, §9).
package elements
