// Package sync measures picture against sound in what is recorded: a publisher
// sends flashes and beeps of the same instants, its two tracks delayed unlike,
// over a path that loses, jitters or breaks; the files are decoded, each flash is
// paired with its beep, and what lies between is written in a table and, into
// the folder that GOVIDU_SYNC_PLOTS names, drawn. It needs ffmpeg and the media
// worker (make worker). Times are judged with GOVIDU_STRICT_TIMES=1 only.
package sync
