// Package process is what a server process minds about itself: file descriptor
// and memory limits, the two signals that stop it, the order in which it closes,
// and the file that tells its ports. It starts one goroutine, in Stops, which ends
// with its stop function. Rules: robustness rules §2 (process) and §4.6.
package process
