// Package filters is the family of elements that change or read what passes:
// GStreamerFilter, ImageOverlayFilter, FaceOverlayFilter, ZBarFilter
// (kurento-elements §8). What touches pixels or samples runs in a media worker;
// here are the descriptions, the check of what callers ask for, and the images
// they name, which this process opens and decodes so that GStreamer sees
// neither an address nor a path of theirs.
//
// The package starts no goroutines of its own; a filter's worker is started when
// its first source connects, and the filter's methods may be called at any time.
package filters

import (
	"slices"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
)

// FilterType is VIDEO, AUDIO or AUTODETECT.
type FilterType string

// Values implements the enumeration.
func (FilterType) Values() []string { return []string{"AUDIO", "AUTODETECT", "VIDEO"} }

// Deps is what the family needs of the process.
type Deps struct {
	// Pool starts the workers; nil makes every class of the family unavailable.
	Pool *workers.Pool
	// Images opens the pictures that callers name; fetch.Policy is one.
	Images Opener
}

// available is nil, or why no worker can be had: 40108.
func (d Deps) available() error {
	if d.Pool == nil {
		return kerr.New(kerr.MediaObjectNotAvailable, "Filters need a media worker, which this server has not")
	}
	return d.Pool.Available()
}

// has tells whether the platform has a GStreamer element; yes as long as nobody
// knows.
func (d Deps) has(element string) bool {
	ready, known := d.Pool.Platform()
	return !known || len(ready.Elements) == 0 || slices.Contains(ready.Elements, element)
}

// Types are the types of this family.
func Types(d Deps) []elements.Type {
	return []elements.Type{
		{
			Name: "GStreamerFilter", Extends: "Filter", Module: "filters",
			Doc: "One GStreamer element between input and output, of a list of harmless video and audio effects: command names it and its properties as gst-launch does.",
			New: elements.New(newGStreamerFilter(d)),
			Members: []elements.Member{
				elements.Property[*GStreamerFilter, string]("command", (*GStreamerFilter).Command, nil),
				elements.Method("setElementProperty", (*GStreamerFilter).SetElementProperty),
			},
		},
		{
			Name: "ImageOverlayFilter", Extends: "Filter", Module: "filters",
			Doc: "Draws images (PNG, JPEG, GIF) over the video, at fractions of the frame.",
			New: elements.New(newImageOverlay(d)),
			Members: []elements.Member{
				elements.Method("removeImage", (*ImageOverlayFilter).RemoveImage),
				elements.Method("addImage", (*ImageOverlayFilter).AddImage),
			},
		},
		{
			Name: "FaceOverlayFilter", Extends: "Filter", Module: "filters",
			Doc: "Finds faces in the video and draws an image over each.",
			New: elements.New(newFaceOverlay(d)),
			Members: []elements.Member{
				elements.Method("unsetOverlayedImage", (*FaceOverlayFilter).UnsetOverlayedImage),
				elements.Method("setOverlayedImage", (*FaceOverlayFilter).SetOverlayedImage),
			},
		},
		{
			Name: "ZBarFilter", Extends: "Filter", Module: "filters",
			Doc: "Looks for bar codes and QR codes in the video and tells of each. The video passes unchanged.",
			New: elements.New(newZBar(d)),
			Members: []elements.Member{
				elements.Event[CodeFoundFields]("CodeFound"),
			},
		},
		{
			Name: "OpenCVFilter", Extends: "Filter", Module: "filters", Abstract: true,
			Doc: "Base of filters that modules of other makers add.",
		},
	}
}
