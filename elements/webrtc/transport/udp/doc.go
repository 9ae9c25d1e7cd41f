// Package udp moves many datagrams with few system calls: it reads what a bound
// socket has in one go, and sends what gathered in an arena in one go, where
// neighbours to one destination leave as a single message that the kernel cuts up
// (UDP_SEGMENT, Linux 4.18 and later).
//
// On Linux it speaks to the kernel with recvmmsg(2) and sendmmsg(2), which never
// wait here; waiting for datagrams is the Go runtime's poller's. What a kernel,
// a sandbox or a network device refuses is noticed and done the older way: one
// message per datagram, then one call per datagram. Elsewhere the package works
// the same with the calls of package net, one per datagram.
//
// The build tag portable takes these calls on Linux too, so that they are tested.
//
// The package starts no goroutines. A Socket is safe for concurrent use, with one
// reader at a time; a Batch and a Writer belong to one goroutine, or to one lock.
package udp
