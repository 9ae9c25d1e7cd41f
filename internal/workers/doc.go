// Package workers is the server's side of media workers: child processes that
// hold GStreamer, one per job, so that a crash in C ends one job and nothing
// else. A Pool finds the binary, keeps a process warm, admits jobs by a budget
// of processor time and supervises them; a Job takes coded frames in (Input),
// offers its raw media to the graph (Bind) and is called with JSON. What crosses
// is package wire. It knows no element, no protocol to clients and no GStreamer.
//
// Goroutines: of a Job one that supervises, one that ticks, and three per
// running process (control in, control out, media in), all ended by Close; of a
// Pool one that starts processes, one per process that waits for it.
package workers
