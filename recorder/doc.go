// Package recorder writes coded media to files that survive the process:
// WebM and Matroska (RFC 9559), MP4 (ISO/IEC 14496-12) and FLV, in pure Go and
// without touching a picture or a sample.
//
// A file grows as NAME.part, which a player can already read at every moment;
// what Flush has written survives kill -9. At Close the same bytes become an
// ordinary file with duration and index, in place, and get their name. Beside
// it stands a hidden sidecar, .NAME.manifest.json (Manifest), written before the
// first media byte. Recover finishes at start what a dead process left.
//
// It leaves to others what is recorded and when (openvidu/recording) and how
// media gets here (elements/uri). Every path is below a root (os.Root).
//
// Goroutines: an open File has two, one that flushes and one that syncs to disk
// and saves the sidecar; Close waits for them. Recover uses at most two.
package recorder
