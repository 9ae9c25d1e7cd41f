// Package netem is a bad network for tests: a cable between this network
// namespace and one of its own, with loss, delay, jitter, reordering, duplication,
// corruption and a bound on the rate, each way alike, that can be changed while
// it is used. Datagrams and TCP both go through it; loss and corruption hit UDP
// only, so that signalling lives.
//
// It moves IP packets between two TUN devices in user space, for kernels without
// the queueing discipline of that name. Linux only; it needs the right to make
// namespaces and devices (root).
package netem
