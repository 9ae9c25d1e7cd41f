package recording

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/studio"
)

// fakePages shows pages as objects of the fake node.
type fakePages struct {
	node *fakeNode
	none error // Available
	fail error // Open
	slow time.Duration

	mu     sync.Mutex
	specs  []PageSpec
	closed int
}

func (f *fakePages) Available() error { return f.none }

func (f *fakePages) Open(ctx context.Context, spec PageSpec) (Page, error) {
	select {
	case <-time.After(f.slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.specs = append(f.specs, spec)
	if f.fail != nil {
		return nil, f.fail
	}
	id, err := f.node.Create(ctx, "View", map[string]any{})
	return &fakePage{f, id}, err
}

type fakePage struct {
	pages *fakePages
	id    client.ID
}

func (p *fakePage) ID() client.ID { return p.id }

func (p *fakePage) Close(ctx context.Context) error {
	p.pages.mu.Lock()
	defer p.pages.mu.Unlock()
	p.pages.closed++
	return p.pages.node.Release(ctx, p.id)
}

func paged(t *testing.T, f *fakePages) (*house, openvidu.RecordingProperties) {
	t.Helper()
	h := newComposer(t, nil, "room")
	_ = h.Close()
	f.node = h.node
	h.open(func(o *Options) {
		composer(&h)(o)
		if f.none != nil || f.fail != nil || f.slow > 0 || f.specs == nil {
			o.Pages = f
		}
	})
	p := together()
	p.RecordingLayout, p.CustomLayout, p.FrameRate = "CUSTOM", "https://example.org/l?x=1", 90
	return h, p
}

// A page is recorded without a Director of the session: it composes by itself.
func TestPageRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakePages{slow: 20 * time.Second} // longer than a start without a browser may take
		h, p := paged(t, f)
		r := h.mustStart("room", p)
		if got := h.node.left(); !slices.Equal(got, []string{"View"}) {
			t.Errorf("objects on the node: %v", got)
		}
		s := f.specs[0]
		if s.SessionID != "room" || s.URL != p.CustomLayout || s.FrameRate != 90 || s.Width != 1280 || s.Height != 720 || !s.HasAudio || s.Pipeline == "" {
			t.Errorf("the page is %+v", s)
		}
		if links := h.node.recorders()[0].links; len(links) != 2 || !strings.HasPrefix(links[0], "View") {
			t.Errorf("recorded is %v", links)
		}
		if _, err := h.Layout(t.Context(), r.ID); !errors.Is(err, ErrNoLayout) {
			t.Errorf("layout of a page: %v", err)
		}
		s.Note("page lost", "the browser ended")
		h.mustStop(r.ID)
		if f.closed != 1 || len(h.node.left()) != 0 {
			t.Errorf("page closed %d times, left %v", f.closed, h.node.left())
		}
	})
}

// Where no page can be shown the start is refused before anything is made, in words
// that say so.
func TestPageRefusals(t *testing.T) {
	none := &studio.Error{Kind: studio.ErrPage, Text: "there is no Chromium"}
	for name, c := range map[string]struct {
		pages *fakePages
		trace bool // a failed recording is left
		check func(error) bool
	}{
		"no service": {&fakePages{specs: []PageSpec{}}, false, func(err error) bool {
			_, ok := errors.AsType[*UnsupportedError](err)
			return ok && strings.Contains(err.Error(), "Chromium")
		}},
		"no browser": {&fakePages{none: none}, false, func(err error) bool {
			e, ok := errors.AsType[*UnsupportedError](err)
			return ok && e.Text == none.Text
		}},
		"page fails": {&fakePages{fail: &studio.Error{Kind: studio.ErrPage, Text: "the page is answered with status 404"}}, true, func(err error) bool {
			e, ok := errors.AsType[*StartError](err)
			return ok && strings.Contains(e.Text, "404")
		}},
		"too many": {&fakePages{fail: &studio.Error{Kind: studio.ErrNoCapacity, Text: "as many as it can"}}, false, func(err error) bool {
			_, ok := errors.AsType[*CapacityError](err)
			return ok
		}},
		"never shown": {&fakePages{slow: time.Hour}, true, func(err error) bool { _, ok := errors.AsType[*StartError](err); return ok }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, p := paged(t, c.pages)
				if _, err := h.Start(t.Context(), "room", p); !c.check(err) {
					t.Fatalf("refusal is %v", err)
				}
				if len(h.rooms.marks) != 0 || len(h.node.left()) != 0 || h.taken("room") || h.store.exists("room") != c.trace {
					t.Errorf("left %v, marks %v, trace %v", h.node.left(), h.rooms.marks, h.store.exists("room"))
				}
			})
		})
	}
}
