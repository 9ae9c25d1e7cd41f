// Package replay sends what a client once sent to an original Kurento Media Server
// to another server, and compares the answers and events with the recorded ones,
// member for member. Ids, ports, ssrcs, times and the like differ between any two
// runs and are normalised; each difference that is left is matched against a
// reviewed list with a reason for each.
//
// It knows nothing of the server but its URL. A Player starts one goroutine per
// connection, which ends with it.
package replay
