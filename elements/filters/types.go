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

// FilterType is VIDEO, AUDIO or AUTODETECT.
type FilterType string

// Values implements the enumeration.
func (FilterType) Values() []string { return []string{"AUDIO", "AUTODETECT", "VIDEO"} }
