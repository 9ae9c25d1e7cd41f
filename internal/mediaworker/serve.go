//go:build gst

package mediaworker

import (
	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// serve answers one request, on the owner.
func (w *worker) serve(r request) {
	if r.Method != wire.MethodCall {
		defer closeAll(r.files)
	}
	result, err := w.do(r)
	if r.ID != 0 {
		m := wire.Message{ID: r.ID}
		if err != nil {
			m.Error = wireError(err)
		} else {
			m.Result = encode(result)
		}
		w.send(m)
	} else if err != nil {
		w.log.Warn("request failed", "method", r.Method, "error", err)
	}
	if r.Method == wire.MethodClose {
		w.stop(0)
	}
}

func (w *worker) do(r request) (any, error) {
	if w.job == nil && r.Method != wire.MethodStart && r.Method != wire.MethodClose {
		closeAll(r.files)
		return nil, kerr.New(kerr.MediaObjectOperationNotSupported, "The job has not been started")
	}
	switch r.Method {
	case wire.MethodStart:
		return with(r, w.begin)
	case wire.MethodInput:
		return with(r, w.setInput)
	case wire.MethodNoInput:
		return with(r, func(p wire.NameParams) error {
			if in := w.inputs[p.Name]; in != nil {
				w.dropInput(in)
			}
			if f, ok := w.job.(forgetter); ok {
				f.forget(p.Name)
			}
			return nil
		})
	case wire.MethodOutput:
		return with(r, w.addOutput)
	case wire.MethodNoOutput:
		return with(r, func(p wire.IDParams) error {
			if o := w.outputs[p.Stream]; o != nil {
				o.close()
			}
			return nil
		})
	case wire.MethodKeyFrame:
		return with(r, func(p wire.IDParams) error {
			if o := w.outputs[p.Stream]; o != nil {
				o.forceKey()
			}
			return nil
		})
	case wire.MethodBitrate:
		return with(r, func(p wire.BitrateParams) error {
			if o := w.outputs[p.Stream]; o != nil {
				return o.setBitrate(p.Bitrate)
			}
			return nil
		})
	case wire.MethodCall:
		var p wire.CallParams
		if err := decodeParams(r.Params, &p); err != nil {
			closeAll(r.files)
			return nil, err
		}
		return w.job.call(p.Method, p.Params, r.files)
	case wire.MethodDot:
		text := w.pipe.Dot()
		if d, ok := w.job.(dotter); ok {
			text += d.dot()
		}
		return text, nil
	case wire.MethodLatency:
		l := wire.LatencyResult{}
		for name, p := range w.ports {
			if c := p.tap.Counts(); c.Buffers > 0 {
				l[name] = int64(c.Lateness)
			}
		}
		return l, nil
	case wire.MethodPing, wire.MethodClose:
		return nil, nil
	}
	return nil, errMethod(r.Method)
}

// with reads the parameters for f.
func with[P any](r request, f func(P) error) (any, error) {
	var p P
	if err := decodeParams(r.Params, &p); err != nil {
		return nil, err
	}
	return nil, f(p)
}

// begin makes the job.
func (w *worker) begin(p wire.StartParams) error {
	if w.job != nil {
		return kerr.New(kerr.MediaObjectOperationNotSupported, "The job has been started already")
	}
	k, ok := kinds()[p.Kind]
	if !ok {
		return kerr.New(kerr.MediaObjectNotAvailable, "This media worker knows no job '%s'", p.Kind)
	}
	pipe, err := gst.NewPipeline(p.Kind, max(0, gst.Now()-k.head))
	if err != nil {
		return err
	}
	w.pipe = pipe
	if w.job, err = k.make(w, p.Params); err != nil {
		_ = pipe.SetState(gst.Null)
		w.job, w.pipe = nil, nil
		return err
	}
	if err := pipe.SetState(gst.Playing); err != nil {
		return kerr.New(kerr.MediaObjectNotAvailable, "The GStreamer pipeline does not start: %v", err)
	}
	return nil
}
