// Package media tests what comes out of a media node: programs on the unmodified
// Kurento clients and Chromium run graphs of every class on it, and their media
// is judged by decoding. It needs the media worker (make worker), Node,
// Chromium and ffmpeg.
package media
