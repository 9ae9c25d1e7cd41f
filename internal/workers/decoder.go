package workers

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// The decoding job: one input, one raw port.
const (
	decodeKind  = "decode"
	decodeInput = "in"
	decodePort  = "out"
)

// Prices of decoding, in the planner's units (microseconds of processor per
// packet), and the estimates of a job with its encoder, in cores.
const (
	videoCost, audioCost   = 4000, 100
	videoCores, audioCores = 0.5, 0.02
)

// failEvery is how often at most a running decoder's complaints become errors of
// the element.
const failEvery = 5 * time.Second

// decoder is the Converter from Unit to Raw: a worker per source.
type decoder struct {
	pool    *Pool
	planned map[pipeline.Kind]*plannedOrigin // one each: formats are compared by it
}

// NewDecoder makes the Converter Unit → Raw; pass it to pipeline.New beside
// pipeline.NewEncoder. Without a worker binary it does nothing, and its Hint
// says what to install. A conversion goes on in a new process after a crash,
// which is told with Fail.
func NewDecoder(p *Pool) pipeline.Converter {
	return &decoder{pool: p, planned: map[pipeline.Kind]*plannedOrigin{
		pipeline.Audio: {p, pipeline.Audio}, pipeline.Video: {p, pipeline.Video},
	}}
}

// plannedOrigin is that of a decoder which does not run yet: it can only tell
// what could be made.
type plannedOrigin struct {
	pool *Pool
	kind pipeline.Kind
}

// Encodes implements pipeline.Origin.
func (o *plannedOrigin) Encodes(to pipeline.Format) bool { return o.pool.encodes(o.kind, &to) }

// Encode implements pipeline.Origin; it fails.
func (o *plannedOrigin) Encode(context.Context, pipeline.Format, *pipeline.Output) (io.Closer, error) {
	return nil, fmt.Errorf("encode what is not decoded yet: %w", kerr.UnexpectedError)
}

// Cost implements pipeline.Converter.
func (d *decoder) Cost(from, to pipeline.Format) (int, bool) {
	if from.Framing != pipeline.Unit || to.Framing != pipeline.Raw || from.Kind != to.Kind || !decodable(&from) || d.pool.Available() != nil {
		return 0, false
	}
	if from.Kind == pipeline.Video {
		return videoCost, true
	}
	return audioCost, true
}

// Expand implements pipeline.Expander.
func (d *decoder) Expand(from pipeline.Format) []pipeline.Format {
	if from.Framing != pipeline.Unit || !decodable(&from) {
		return nil
	}
	return []pipeline.Format{{Kind: from.Kind, Codec: pipeline.RawCodec, Framing: pipeline.Raw, Origin: d.planned[from.Kind]}}
}

// Hint implements pipeline.Hinter.
func (d *decoder) Hint() string {
	if err := d.pool.Available(); err != nil {
		return err.Error()
	}
	return ""
}

// Open implements pipeline.Converter.
func (d *decoder) Open(ctx context.Context, from, _ pipeline.Format, out *pipeline.Output) (pipeline.ConverterInput, error) {
	cores := videoCores
	if from.Kind == pipeline.Audio {
		cores = audioCores
	}
	var told time.Time
	job, err := d.pool.Start(ctx, Spec{
		Kind: decodeKind, Cores: cores, Restart: true, Element: out.Label(),
		Handler: Handler{
			Crashed: func(err error, restarting bool) {
				if restarting {
					err = fmt.Errorf("%w; another one is started", err)
				}
				out.Fail(err)
			},
			Error: func(e wire.ErrorData) {
				// A damaged stream can be complained about per frame.
				if time.Since(told) > failEvery {
					told = time.Now()
					out.Fail(refusal(decodeKind, &wire.Error{Code: e.Code, Text: e.Text}))
				}
			},
		},
	})
	if err != nil {
		return nil, err
	}
	in := job.addInput(decodeInput, []pipeline.Format{from}, out.Feedback)
	x := &decoding{Input: in, job: job, out: out}
	x.made = job.bind(decodePort, out)
	return x, nil
}

// decoding is one running conversion.
type decoding struct {
	*Input
	job  *Job
	out  *pipeline.Output
	made pipeline.Format
}

// Made implements pipeline.Maker.
func (d *decoding) Made() pipeline.Format { return d.made }

// Close ends the conversion. It does not wait for the process, since it may be
// called on a goroutine that media waits for; Pool.Close does.
func (d *decoding) Close() error {
	d.job.Unbind(decodePort)
	d.job.pool.retire(d.job)
	return nil
}
