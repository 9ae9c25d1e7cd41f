// Package serve is the HTTP server around the handlers: time and size limits,
// bounds on connections, TLS with a certificate of its own or the operator's.
// It knows no route. A Server owns its accept loop; Run waits for it. Limits:
// robustness rules §2.
package serve
