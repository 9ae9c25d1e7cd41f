// Package hubs is the family of types that join several streams: Composite,
// AlphaBlending, Mixer, Dispatcher and DispatcherOneToMany, and the HubPort by
// which media enters and leaves them (kurento-elements §8). Director and its
// Views are ours: several layouts, which may change while they run, of what is
// decoded once.
//
// Dispatchers, and the Mixer as long as no port hears more than one other,
// forward packets and need no media worker. Pictures and samples are mixed in a
// worker process, one per hub; what is asked of it is told again to the one
// that replaces it after a crash.
//
// Goroutines: none of its own but timers; those of workers belong to
// internal/workers.
package hubs

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
)

// Deps is what the family needs of the process.
type Deps struct {
	// Pool runs the workers; nil answers 40108 where one is needed.
	Pool *workers.Pool
	// Images opens the images of layouts; nil opens none.
	Images Opener
}

// Types are the types of this family.
func Types(d Deps) []elements.Type {
	return []elements.Type{
		{
			Name: "Hub", Extends: "MediaObject", Module: "core", Abstract: true,
			Doc: "Joins the media of its ports.",
			Members: []elements.Member{
				elements.Method("getGstreamerDot", getDot),
				elements.Method("dumpGstreamerDot", dumpDot),
			},
		},
		{
			Name: "HubPort", Extends: "MediaElement", Module: "core",
			Doc: "Where media enters and leaves a hub; it closes with its hub.",
			New: elements.New(newHubPort),
		},
		{
			Name: "Composite", Extends: "Hub", Module: "elements",
			Doc: "Shows all its ports' pictures in one grid, and lets each port hear all others.",
			New: elements.New(newComposite(d)),
		},
		{
			Name: "AlphaBlending", Extends: "Hub", Module: "elements",
			Doc: "Lays its ports' pictures over a master's at given places, and lets each port hear all others.",
			New: elements.New(newAlphaBlending(d)),
			Members: []elements.Member{
				elements.Method("setMaster", (*AlphaBlending).SetMaster),
				elements.Method("setPortProperties", (*AlphaBlending).SetPortProperties),
			},
		},
		{
			Name: "Mixer", Extends: "Hub", Module: "elements",
			Doc: "Routes video between ports and mixes the audio of several.",
			New: elements.New(newMixer(d)),
			Members: []elements.Member{
				elements.Method("connect", (*Mixer).Connect),
				elements.Method("disconnect", (*Mixer).Disconnect),
			},
		},
		{
			Name: "Dispatcher", Extends: "Hub", Module: "elements",
			Doc:     "Routes media between any two of its ports.",
			New:     elements.New(newDispatcher),
			Members: []elements.Member{elements.Method("connect", (*Dispatcher).Connect)},
		},
		{
			Name: "DispatcherOneToMany", Extends: "Hub", Module: "elements",
			Doc: "Sends the media of one chosen port out of all others.",
			New: elements.New(newDispatcherOneToMany),
			Members: []elements.Member{
				elements.Method("setSource", (*DispatcherOneToMany).SetSource),
				elements.Method("removeSource", (*DispatcherOneToMany).RemoveSource),
			},
		},
		{
			Name: "Director", Extends: "Hub", Module: "govidu",
			Doc: "Decodes what enters its ports once and shows it in any number of views; its ports send nothing.",
			New: elements.New(newDirector(d)),
			Members: []elements.Member{
				elements.Method("describePort", (*Director).DescribePort),
				elements.Method("getViews", (*Director).GetViews),
			},
		},
		{
			Name: "View", Extends: "MediaElement", Module: "govidu",
			Doc: "One composed picture and one mix of what enters a Director, with a layout of its own that may change at any time; it closes with its Director.",
			New: elements.New(newView),
			Members: []elements.Member{
				elements.Property("width", (*View).getWidth, nil),
				elements.Property("height", (*View).getHeight, nil),
				elements.Property("framerate", (*View).getFramerate, nil),
				elements.Method("setLayout", (*View).SetLayout),
				elements.Method("getLayout", (*View).GetLayout),
				elements.Method("getTiles", (*View).GetTiles),
				elements.Method("setSpeaker", (*View).SetSpeaker),
			},
		},
	}
}

// available answers 40108 without workers.
func (d Deps) available() error {
	if d.Pool == nil {
		return kerr.New(kerr.MediaObjectNotAvailable, "This server runs without media workers")
	}
	return d.Pool.Available()
}

func getDot(h Hub, ctx context.Context, _ elements.DotParams) (string, error) {
	return h.core().director.dot(ctx)
}

// dumpDot writes where GST_DEBUG_DUMP_DOT_DIR says; without it nothing is
// written, as with the original.
func dumpDot(h Hub, ctx context.Context, _ elements.DotParams) (elements.None, error) {
	dir := os.Getenv("GST_DEBUG_DUMP_DOT_DIR")
	if dir == "" {
		return elements.None{}, nil
	}
	text, err := h.core().director.dot(ctx)
	if err != nil {
		return elements.None{}, err
	}
	name := filepath.Join(dir, strings.ReplaceAll(h.ID(), "/", "_")+".dot")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return elements.None{}, kerr.New(kerr.UnexpectedError, "Cannot write the graph of %s: %v", h.ID(), err)
	}
	return elements.None{}, nil
}
