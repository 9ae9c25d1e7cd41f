//go:build gst

package mediaworker

import (
	"fmt"

	"github.com/govidu/govidu/internal/gst"
)

// addBin makes a bin of a description in the language of gst-launch-1.0, with
// its open pads (sink, src) as its own, and puts it into the pipeline. Owner.
func (w *worker) addBin(text string) (*gst.Element, error) {
	bin, err := gst.ParseBin(text, true)
	if err != nil {
		return nil, err
	}
	w.serial++
	if err := bin.Set("name", fmt.Sprintf("part-%d", w.serial)); err != nil {
		return nil, err
	}
	return bin, w.pipe.Add(bin)
}

// addElement makes an element with properties and puts it into the pipeline. Owner.
func (w *worker) addElement(factory string, properties ...string) (*gst.Element, error) {
	e, err := gst.Make(factory, "")
	if err != nil {
		return nil, err
	}
	if err := e.SetAll(properties...); err != nil {
		return nil, err
	}
	return e, w.pipe.Add(e)
}

// addBorn is addElement for properties that must be there when it is made; they
// are in the language of gst-launch-1.0. Owner.
func (w *worker) addBorn(factory, properties string) (*gst.Element, error) {
	bin, err := gst.ParseBin(factory+" name=born "+properties, false)
	if err != nil {
		return nil, err
	}
	e := bin.Find("born")
	bin.Remove(e)
	w.serial++
	if err := e.Set("name", fmt.Sprintf("%s-%d", factory, w.serial)); err != nil {
		return nil, err
	}
	return e, w.pipe.Add(e)
}

// dropBin takes what addBin or addElement made out again. Owner.
func (w *worker) dropBin(e *gst.Element) {
	e.LockState(true)
	_ = e.SetState(gst.Null)
	w.pipe.Remove(e)
}
