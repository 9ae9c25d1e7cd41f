// Package obs is how the process is observed: slog, Prometheus, pprof, and the
// guard that turns a panic into the end of one connection instead of the end of
// the server.
//
// It leaves what is worth logging or counting to its callers, holds no global
// logger, and starts one goroutine only, in Pprof.Run, which waits for it.
package obs
