//go:build gst

package mediaworker

import (
	"encoding/json"
	"os"
	"time"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// job is what a kind does; see the package comment. All its methods run on the
// owner.
type job interface {
	// addInput takes a new input whose raw media leave in.out. The input is in the
	// pipeline but does not run yet. After an error the base removes it.
	addInput(in *input) error
	// removeInput lets go of in.out, and of what addInput made.
	removeInput(in *input)
	// call is wire.MethodCall. files are the job's to close. Errors may carry a
	// kerr.Code.
	call(method string, params json.RawMessage, files []*os.File) (any, error)
	// message hears the bus; true: the base has nothing to do with this one. The
	// base itself looks after inputs and encodings, before.
	message(m gst.Message) bool
	// close ends what the job started; the pipeline is brought to Null after.
	close()
}

// forgetter is a job that keeps something of an input beyond it, until the server
// ends the input.
type forgetter interface{ forget(input string) }

// dotter is a job with more pipelines than the base's.
type dotter interface{ dot() string }

// kind makes a job. The pipeline exists and is not yet playing.
type kind struct {
	make func(w *worker, params json.RawMessage) (job, error)
	// head is how far before the job's start running time zero lies. Frames older
	// than that count as of running time zero. Mixers want none: they begin to mix
	// at zero.
	head time.Duration
}

// kinds of jobs by StartParams.Kind.
func kinds() map[string]kind {
	return map[string]kind{
		"composite": {make: newComposite},
		"decode":    {make: newDecode, head: 10 * time.Second},
		"director":  {make: newDirector, head: directorHead},
		"filter":    {make: newFilter, head: filterHead},
		"mixer":     {make: newComposite},
		"player":    {make: newPlayer},
		"still":     {make: newStill},
	}
}

// errMethod refuses a call that a job does not know.
func errMethod(method string) error {
	return kerr.New(kerr.MediaObjectMethodNotFound, "The job has no method '%s'", method)
}

// decodeParams reads a request's parameters; none leave into as it is.
func decodeParams(params json.RawMessage, into any) error {
	if len(params) == 0 {
		return nil
	}
	if err := json.Unmarshal(params, into); err != nil {
		return kerr.New(kerr.MarshallError, "Bad parameters: %v", err)
	}
	return nil
}

// wireError is an error as it crosses.
func wireError(err error) *wire.Error {
	code, known := kerr.Of(err)
	if !known {
		code = kerr.UnexpectedError
	}
	return &wire.Error{Code: int(code), Text: err.Error()}
}
