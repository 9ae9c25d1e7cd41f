// Package congestion measures what comes from a WebRTC peer and finds out what
// may be sent to one. Receiving: Recorder builds transport-wide feedback,
// NACKTracker knows what is missing, Reception counts for receiver reports.
// Sending: Estimator follows the bandwidth towards a peer and probes for more,
// Pacer smooths bursts, Budget bounds retransmissions.
//
// All of them are state machines: they own no goroutine, no socket and no clock.
// Times are arguments and should be monotonic; one that goes back counts as the
// latest that was shown. Zero values are ready. None is safe for concurrent use,
// and none allocates per packet. Choosing layers, building packets and sending
// them is left to others.
//
// Specifications: draft-holmer-rmcat-transport-wide-cc-extensions-01 (feedback),
// draft-ietf-rmcat-gcc-02 (estimation), draft-alvestrand-rmcat-remb-03 (REMB),
// RFC 3550 §6.4.1 and Appendix A (reports), RFC 4585 §6.2.1 (NACK).
package congestion
