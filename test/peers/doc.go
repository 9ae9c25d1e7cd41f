//go:build linux

// Command peers measures what forwarding costs: the processor time per packet that
// reached a subscriber, of Govidu's media node and of other servers in turn, with
// delivery, one-way latency, memory, context switches and the time of a join beside
// it. `make bench-peers` runs it; -check makes it fail when the bounds in bounds.go
// do not hold.
//
// Loads (-loads):
//
//	room     one publisher, -viewers viewers (100), in rounds (3) in which the servers take turns
//	big      the same with 600 viewers, the node alone
//	many     20 publishers, each seen by 19 viewers, 300 kbit/s, a minute, the node alone
//	publish  100 publishers and nobody who watches
//
// A publisher sends video of 1.44 Mbit/s (30 frames a second of 5 packets of 1200
// bytes, back to back) and Opus (50 packets a second). Peers of the load are complete
// in ICE and DTLS, but what they receive is counted at the socket and dropped
// (socket.go), except at two that decrypt it and compare the time in the payload
// with the kernel's of arrival. With -feedback all decrypt and send RTCP, which
// takes so much of the machine that only few viewers are possible.
//
// Processor time is the server's, of all threads, with what the kernel does inside
// its calls: on loopback that is the receiver's side, too, for all servers alike.
// Load and servers share the machine, whose speed changes; only ratios of one
// round say something. Run it alone on the machine.
//
// Servers: the media node over the Kurento protocol (govidu), Debian's Janus with a
// thread per handle and with event loops (janus, janus-loops), LiveKit on one UDP port
// (livekit), what most would write first on Pion (naive, in this program), and with
// -program any other that takes an offer by HTTP. Janus never offers loopback, so when
// it takes part everything runs in a network namespace (isolate.go).
//
// Goroutines: those of the peers, one per publisher, and one thread that empties all
// viewers' sockets; all end with their round.
package main
