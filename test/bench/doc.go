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
// Goroutines: one that sends packets by the clock and one per receiving socket,
// all ended with their round.
package main
