// Package auth answers who may do what: random ids and one-time tokens, the
// token URL, the server secret, and the table of methods and roles. It keeps no
// state and starts no goroutines; unused tokens live in internal/cluster.
package auth
