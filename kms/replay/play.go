package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/jsonrpc"
)

// Options are how to reach the server under test.
type Options struct {
	// Dial opens one connection.
	Dial func(ctx context.Context) (jsonrpc.Conn, error)
	// MediaDir stands for file:///media/ of the transcripts; src.webm must be in it.
	MediaDir string
	// ReplyTime bounds the wait for an answer (15 s), EventTime the one for events
	// at the end of a transcript (10 s), PauseTime the one before the next request
	// for events that had come by then (2 s).
	ReplyTime, EventTime, PauseTime time.Duration
}

// Player plays transcripts, one after another, and remembers which id of the
// recording is which of this run.
type Player struct {
	o     Options
	ids   bindings
	out   []Difference
	name  string // of the transcript being played
	conn  jsonrpc.Conn
	inbox chan message

	replies []message
	events  []message
	wanted  []*expected
	asked   map[string]string // request id → what it asked, for reports
	latest  string            // what was asked that the latest answer is to
}

type message struct {
	raw   string
	value map[string]any
	after string // of an event: what was asked that the latest answer before it is to
}

// expected is a recorded event that did not come yet.
type expected struct {
	value  map[string]any
	waited bool
}

// NewPlayer makes a player.
func NewPlayer(o Options) *Player {
	if o.ReplyTime == 0 {
		o.ReplyTime = 15 * time.Second
	}
	if o.EventTime == 0 {
		o.EventTime = 10 * time.Second
	}
	if o.PauseTime == 0 {
		o.PauseTime = 2 * time.Second
	}
	return &Player{o: o, ids: newBindings(o.MediaDir)}
}

// pauses of the recorder longer than this were made on purpose, and are kept.
const pause = 150 * time.Millisecond

// Play plays one transcript on a connection of its own and gives the differences.
// An error means that it could not be played to its end.
func (p *Player) Play(ctx context.Context, t *Transcript) ([]Difference, error) {
	p.name, p.out, p.asked = t.Name, nil, map[string]string{}
	p.replies, p.events, p.wanted, p.latest = nil, nil, nil, ""
	defer p.hangUp()
	before := 0
	for i, f := range t.Frames {
		var err error
		switch f.Dir {
		case fromClient:
			if gap := time.Duration(f.TMs-before) * time.Millisecond; i > 0 && before > 0 && gap > pause {
				err = p.listen(ctx, gap)
			}
			if err == nil {
				err = p.send(ctx, f.Raw)
			}
		case fromServer:
			err = p.receive(ctx, f.Raw)
		case closed:
			err = p.close(ctx, f.Code)
		}
		if f.TMs > 0 {
			before = f.TMs
		}
		if err != nil {
			return p.out, fmt.Errorf("frame %d of %s: %w", i, t.Name, err)
		}
	}
	return p.out, nil
}

func (p *Player) dial(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	conn, err := p.o.Dial(ctx)
	if err != nil {
		return err
	}
	inbox := make(chan message, 4096)
	p.conn, p.inbox = conn, inbox
	go func() {
		defer close(inbox)
		for {
			frame, err := conn.ReadFrame()
			if err != nil {
				return
			}
			m := message{raw: string(frame)}
			m.value, _ = parse(m.raw).(map[string]any)
			inbox <- m
		}
	}()
	return nil
}

func (p *Player) hangUp() {
	if p.conn == nil {
		return
	}
	go func(c jsonrpc.Conn) { c.Close(jsonrpc.CloseNormal, "") }(p.conn)
	for range p.inbox { //nolint:revive // to its end
	}
	p.conn, p.inbox = nil, nil
}

// listen takes what arrives for a while.
func (p *Player) listen(ctx context.Context, d time.Duration) error {
	return p.until(ctx, d, func() bool { return false })
}

var errGone = errors.New("the server closed the connection")

// until takes messages until done or the time is over.
func (p *Player) until(ctx context.Context, d time.Duration, done func() bool) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for !done() {
		select {
		case m, ok := <-p.inbox:
			if !ok {
				return errGone
			}
			if m.value["method"] == "onEvent" {
				m.after = p.latest
				p.events = append(p.events, m)
				p.pair()
			} else {
				p.replies = append(p.replies, m)
				p.latest = p.asked[text(m.value["id"])]
			}
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// send sends a recorded request with this run's ids, after the events that the
// recorder had seen by then.
func (p *Player) send(ctx context.Context, raw string) error {
	if err := p.dial(ctx); err != nil {
		return err
	}
	err := p.until(ctx, p.o.PauseTime, func() bool {
		for _, e := range p.wanted {
			if !e.waited {
				return false
			}
		}
		return true
	})
	for _, e := range p.wanted {
		e.waited = true
	}
	if err != nil {
		return err
	}
	if m, ok := parse(raw).(map[string]any); ok {
		p.asked[text(m["id"])] = describe(m)
	}
	return p.conn.WriteJSON(json.RawMessage(p.ids.outgoing(raw)))
}

// describe says in a few words what a request asks.
func describe(m map[string]any) string {
	params, _ := m["params"].(map[string]any)
	words := []string{"request", text(m["id"]), text(m["method"])}
	for _, k := range []string{"operation", "type"} {
		if s, ok := params[k].(string); ok {
			words = append(words, s)
		}
	}
	if id, ok := params["object"].(string); ok {
		words = append(words, "of "+class(id))
	}
	return strings.Join(words, " ")
}

// class is the type in an object's id.
func class(id string) string {
	if _, c, ok := strings.Cut(id[strings.LastIndexByte(id, '/')+1:], "."); ok {
		return c
	}
	return id
}

// receive compares a recorded answer with ours, or notes a recorded event.
func (p *Player) receive(ctx context.Context, raw string) error {
	theirs, ok := parse(raw).(map[string]any)
	if !ok {
		return fmt.Errorf("recorded frame is no object: %.80s", raw)
	}
	if theirs["method"] == "onEvent" {
		p.wanted = append(p.wanted, &expected{value: theirs})
		p.pair()
		return nil
	}
	ours, err := p.reply(ctx, theirs["id"])
	if err != nil {
		return err
	}
	at := p.asked[text(theirs["id"])]
	if at == "" {
		at = "answer without an id"
	}
	c := comparison{ids: &p.ids, op: at}
	c.values("", theirs, ours)
	p.ids.learn(c.fresh)
	p.report(at, c.found)
	return nil
}

// reply waits for our answer to a request.
func (p *Player) reply(ctx context.Context, id any) (map[string]any, error) {
	var found map[string]any
	look := func() bool {
		for i, m := range p.replies {
			if text(m.value["id"]) == text(id) {
				found = m.value
				p.replies = append(p.replies[:i:i], p.replies[i+1:]...)
				return true
			}
		}
		return false
	}
	if look() {
		return found, nil
	}
	if err := p.until(ctx, p.o.ReplyTime, look); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fmt.Errorf("no answer to %s within %v", p.asked[text(id)], p.o.ReplyTime)
	}
	return found, nil
}

// close ends the conversation as the recording did. Where the original dropped
// the connection, ours has answered with an error.
func (p *Player) close(ctx context.Context, code int) error {
	if code == 1006 {
		ours, err := p.reply(ctx, nil)
		if err != nil {
			return err
		}
		e, _ := ours["error"].(map[string]any)
		p.report("text that is no JSON", []Difference{{Kind: Closed, Path: "", Theirs: "closed 1006", Ours: "error " + text(e["code"])}})
		p.hangUp()
		return nil
	}
	err := p.until(ctx, p.o.EventTime, func() bool { return len(p.wanted) == 0 })
	if err != nil && !errors.Is(err, errGone) {
		return err
	}
	p.unpaired()
	p.hangUp()
	return nil
}

func (p *Player) report(at string, list []Difference) {
	for _, d := range list {
		d.File, d.At = p.name, at
		p.out = append(p.out, d)
	}
}

// pair takes recorded and received events that are the same off both lists.
func (p *Player) pair() {
	for i := 0; i < len(p.wanted); i++ {
		for j := range p.events {
			c := comparison{ids: &p.ids}
			if c.values("", p.wanted[i].value, p.events[j].value); len(c.found) > 0 {
				continue
			}
			p.ids.learn(c.fresh)
			p.wanted = append(p.wanted[:i:i], p.wanted[i+1:]...)
			p.events = append(p.events[:j:j], p.events[j+1:]...)
			i--
			break
		}
	}
}

// unpaired reports the events that only one side has, or has otherwise.
func (p *Player) unpaired() {
	for _, w := range p.wanted {
		at := eventName(w.value)
		best, where := []Difference(nil), -1
		for j := range p.events {
			if p.ids.incoming(eventKey(w.value)) != eventKey(p.events[j].value) {
				continue
			}
			c := comparison{ids: &p.ids}
			c.values("", w.value, p.events[j].value)
			if where < 0 || len(c.found) < len(best) {
				best, where = c.found, j
			}
		}
		if where < 0 {
			p.report(at, []Difference{{Kind: Event, Theirs: data(w.value), Ours: "none"}})
			continue
		}
		p.events = append(p.events[:where:where], p.events[where+1:]...)
		p.report(at, best)
	}
	for _, m := range p.events {
		p.report(eventName(m.value), []Difference{{Kind: Event, Theirs: "none", Ours: data(m.value), After: m.after}})
	}
	p.wanted, p.events = nil, nil
}

func eventValue(m map[string]any) map[string]any {
	params, _ := m["params"].(map[string]any)
	v, _ := params["value"].(map[string]any)
	return v
}

func eventName(m map[string]any) string {
	v := eventValue(m)
	return "event " + text(v["type"]) + " of " + class(text(v["object"]))
}

func eventKey(m map[string]any) string {
	v := eventValue(m)
	return text(v["type"]) + " " + text(v["object"])
}

// data is an event's own part as text.
func data(m map[string]any) string {
	d, _ := eventValue(m)["data"].(map[string]any)
	own := map[string]any{}
	for k, v := range d {
		if k != "source" && k != "tags" && k != "timestampMillis" && k != "type" {
			own[k] = v
		}
	}
	b, _ := json.Marshal(own)
	return string(b)
}
