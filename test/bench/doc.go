// Command bench measures what media workers cost: the processor time per second
// of media of compositing, transcoding, overlaying and flipping, of the media node
// and its workers together, beside a gst-launch-1.0 pipeline that does the same
// work on the same RTP. `make bench-elements` runs it; it fails when the node
// costs more than the limit, or when either side delivers too few pictures.
//
// Both sides get the same packets over UDP on loopback in rounds that take turns,
// decode and encode with the same elements and settings (the node's are read from
// its own graph and compared), and send RTP to the same kind of sink, which counts
// pictures and decodes a sample. Run it alone on the machine.
//
// With -composed (`make bench-composite`) it compares a director's recording of 4 and
// 9 tiles with one ffmpeg and its filter xstack, which gets the same packets or reads
// files (-files), and with Chromium under Xvfb that ffmpeg grabs. All three write H264
// into MP4 by x264; what it says of its settings in the files must be the same.
// -keep collects rounds of several runs.
//
// Goroutines: one that sends packets by the clock and one per receiving socket,
// all ended with their round.
package main
