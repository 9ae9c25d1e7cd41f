// Package mediaworker is the inside of a media worker: one process, one job, one
// GStreamer pipeline. It takes coded frames from a socket, decodes them, hands
// raw pictures and sound to the job, and encodes what the job offers on its raw
// ports, each only while somebody wants it. What crosses is package wire. It
// knows no room, no element of a media pipeline and no protocol to clients.
//
// Build tag gst, like internal/gst: without it only the reassembly of frames is
// built, and tested.
//
// # Goroutines
//
//   - The owner runs everything that touches the pipeline: requests, messages of
//     the bus, what streaming threads posted, a tick every 200 ms.
//   - One reads control lines, one writes them, one reads media, one waits on the
//     bus.
//   - GStreamer's threads: one per input (demultiplexing and decoding), one per
//     encoding. An encoded frame goes to the socket on the encoder's own thread.
//
// All end when the job does. The process exits with 0 after MethodClose or when
// the server is gone, with 2 after an EventError that is fatal.
//
// # Time
//
// Frames carry CLOCK_MONOTONIC. The pipeline's clock is that clock; its base time
// is fixed when the job starts. So running time = PTS - base, in both directions,
// and nothing is estimated.
//
// # A kind of job
//
// One file, job_name.go, and one line in the table kinds (kinds.go):
//
//	type flip struct {
//		w   *worker
//		out *port
//		bin *gst.Element
//	}
//
//	func newFlip(w *worker, params json.RawMessage) (job, error) {
//		j := &flip{w: w}
//		var err error
//		if j.bin, err = gst.ParseBin("videoflip method=horizontal-flip", true); err != nil {
//			return nil, err
//		}
//		if err := w.pipe.Add(j.bin); err != nil {
//			return nil, err
//		}
//		if j.out, err = w.newPort("video", "video"); err != nil { // EventFlow, encodings: the base's
//			return nil, err
//		}
//		return j, j.bin.Pad("src").Link(j.out.sink)
//	}
//
//	// addInput gets raw media: I420 of any size, or S16LE 48 kHz stereo, at in.out.
//	func (j *flip) addInput(in *input) error { return in.out.Link(j.bin.Pad("sink")) }
//
//	// removeInput lets go of in.out; the base then ends and removes the input.
//	func (j *flip) removeInput(in *input) { in.out.Unlink(j.bin.Pad("sink")) }
//
//	func (j *flip) call(method string, params json.RawMessage, files []*os.File) (any, error) {
//		return nil, errMethod(method)
//	}
//	func (j *flip) message(m gst.Message) bool { return false }
//	func (j *flip) close()                      {}
//
// All methods of a job run on the owner. A job's helpers: worker.post (run
// something on the owner, from any thread), worker.event, worker.fail,
// worker.newPort, port.close, worker.newStream (send coded frames by itself),
// worker.every (a tick), newBin (parse, add, ready to link). A removed input's
// thread may be blocked in a mixer's pad: release that pad in removeInput.
package mediaworker
