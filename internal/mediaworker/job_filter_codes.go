//go:build gst

package mediaworker

import (
	"encoding/json"

	"github.com/govidu/govidu/internal/gst"
)

// zbar reads five pictures a second, at most 960 wide: at the full rate of
// 640x480 it would take more than half a core.
const lookForCodes = "queue name=head leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 ! videorate drop-only=true max-rate=5 ! " +
	"videoscale n-threads=1 qos=false ! video/x-raw,width=[1,960],pixel-aspect-ratio=1/1 ! videoconvert n-threads=1 qos=false ! " +
	"zbar name=zbar cache=false ! fakesink sync=false async=false"

// codesEffect tells of codes in the picture, as often as it sees them.
type codesEffect struct{ w *worker }

// foundCode is the event code.
type foundCode struct {
	CodeType string `json:"codeType"`
	Value    string `json:"value"`
}

func newCodesEffect(j *filterJob) (effect, error) {
	bin, err := j.insert(lookForCodes, "head", "")
	if err != nil {
		return nil, err
	}
	j.entry = bin.Pad("sink")
	return &codesEffect{j.w}, nil
}

func (e *codesEffect) call(method string, _ json.RawMessage) (any, error) {
	return nil, errMethod(method)
}

func (e *codesEffect) message(m gst.Message) bool {
	if m.Type != "element" || m.Structure != "barcode" {
		return false
	}
	e.w.event("code", foundCode{m.Fields["type"], m.Fields["symbol"]})
	return true
}

func (e *codesEffect) close() {}
