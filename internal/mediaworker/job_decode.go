//go:build gst

package mediaworker

import (
	"encoding/json"
	"os"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
)

// decodeJob decodes its one input, "in", to raw port "out". With encodings of
// that port it is the transcoder.
type decodeJob struct {
	w   *worker
	out *port
}

func newDecode(w *worker, _ json.RawMessage) (job, error) { return &decodeJob{w: w}, nil }

func (j *decodeJob) addInput(in *input) error {
	if in.params.Name != "in" {
		return kerr.New(kerr.MediaObjectIllegalParam, "The decoder has no input '%s'", in.params.Name)
	}
	if j.out != nil && j.out.kind != in.params.Kind {
		return kerr.New(kerr.MediaObjectIllegalParam, "The decoder is one of %s", j.out.kind)
	}
	if j.out == nil {
		out, err := j.w.newPort("out", in.params.Kind)
		if err != nil {
			return err
		}
		j.out = out
	}
	return in.out.Link(j.out.sink)
}

func (j *decodeJob) removeInput(in *input) {
	if j.out != nil {
		// Nothing behind the port blocks, so the decoder can be stopped first, and
		// does not complain of a missing link.
		in.bin.LockState(true)
		_ = in.bin.SetState(gst.Null)
		in.out.Unlink(j.out.sink)
	}
}

func (j *decodeJob) call(method string, _ json.RawMessage, files []*os.File) (any, error) {
	closeAll(files)
	return nil, errMethod(method)
}

func (j *decodeJob) message(gst.Message) bool { return false }

func (j *decodeJob) close() {}
