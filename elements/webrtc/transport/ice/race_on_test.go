//go:build race

package ice

// racing: with the race detector sync.Pool forgets on purpose.
const racing = true
