package workers

import (
	"net"
)

// Process is a running worker as the pool sees it.
type Process struct {
	Media   *net.UnixConn // our end of wire.MediaFD, SOCK_SEQPACKET
	Control *net.UnixConn // our end of wire.ControlFD
	PID     int           // 0 when it is no process of its own
	// Wait returns when the worker is dead and reaped, with how it died; nil is
	// an exit with 0. It is called once.
	Wait func() error
	// Kill ends it at once. It may be called at any time and often.
	Kill func()
	// Last is the last line the worker wrote to stderr, "" for none; may be nil.
	Last func() string
}

// process is a Process with its end.
type process struct {
	*Process
	exited chan struct{} // closed when it is dead; then err is set
	err    error
}

// gone tells whether it is dead.
func (w *process) gone() bool {
	select {
	case <-w.exited:
		return true
	default:
		return false
	}
}

// end kills it, closes our ends and waits.
func (w *process) end() {
	w.Kill()
	w.Media.Close()
	w.Control.Close()
	<-w.exited
}

// last is the last line of stderr.
func (w *process) last() string {
	if w.Last == nil {
		return ""
	}
	return w.Last()
}
