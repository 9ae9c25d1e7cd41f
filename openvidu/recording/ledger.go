package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/proof"
)

// ledgers keep the log `.proof.jsonl` of each recording that is not final: what
// happens to it, how far its files' logs are, and at the end its manifest, signed.
// Safe for concurrent use. A log that cannot be written never stops a recording:
// Verify says what it lacks.
type ledgers struct {
	store *store
	keys  *proof.Keys // nil: nothing is signed
	log   *slog.Logger

	mu   sync.Mutex // leaf
	open map[string]*ledger
}

type ledger struct {
	file   *os.File
	log    *proof.Log
	events []proof.Event
}

// maxEvents bounds what a manifest lists; the log has them all.
const maxEvents = 10000

// of opens the log of a recording, or goes on with the one a dead process left:
// behind its last whole line. Call it with mu held.
func (l *ledgers) of(m *metadata) (*ledger, error) {
	if g := l.open[m.ID]; g != nil {
		return g, nil
	}
	f, err := l.store.root.OpenFile(path.Join(m.ID, proof.LogFile), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	c, err := proof.Read(f)
	switch {
	case err != nil:
	case c.Broken != "": // somebody changed it: what follows would hide that
		err = fmt.Errorf("log is not what was written: %s", c.Broken)
	case c.Torn:
		err = f.Truncate(c.Valid)
	}
	g := &ledger{file: f, log: proof.Continue(f, c)}
	for _, e := range c.Entries {
		var ev proof.Event
		if e.Type == proof.TypeEvent && json.Unmarshal(e.Data, &ev) == nil {
			g.events = append(g.events, ev)
		}
	}
	if err == nil && len(c.Entries) == 0 {
		err = g.log.Append(proof.TypeOpen, proof.Opened{
			ID: m.ID, SessionID: m.SessionID, UniqueSessionID: m.UniqueSessionID, CreatedAt: m.CreatedAt, NodeID: m.NodeID,
		})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), f.Close())
	}
	l.open[m.ID] = g
	return g, nil
}

// note adds an event.
func (l *ledgers) note(m *metadata, e proof.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g, err := l.of(m)
	if err == nil {
		if len(g.events) < maxEvents {
			g.events = append(g.events, e)
		}
		err = g.log.Append(proof.TypeEvent, e)
	}
	if err != nil {
		l.log.Warn("event is not in the recording's log", obs.AttrRecording, m.ID, "event", e.Event, obs.AttrErr, err)
	}
}

// checkpoint signs how far the logs of the recording's files are.
func (l *ledgers) checkpoint(m *metadata, files []string) {
	var c proof.Checkpoint
	for _, name := range files {
		log, _, err := l.store.openRegular(path.Join(m.ID, proof.LogName(name)))
		if err != nil {
			continue // no media yet
		}
		tail, err := proof.Tail(log)
		log.Close()
		if err == nil && tail.Entries > 0 {
			tail.Name = name
			c.Files = append(c.Files, tail)
		}
	}
	if len(c.Files) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g, err := l.of(m)
	if err == nil {
		err = g.log.Append(proof.TypeCheckpoint, c)
	}
	if err == nil && l.keys != nil {
		err = l.keys.Sign(g.log)
	}
	if err != nil {
		l.log.Warn("checkpoint is not in the recording's log", obs.AttrRecording, m.ID, obs.AttrErr, err)
	}
}

// events are those noted so far.
func (l *ledgers) events(id string) []proof.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.open[id]; g != nil {
		return append([]proof.Event{}, g.events...)
	}
	return []proof.Event{}
}

// noted are the events of a recording, also when a process before this one noted
// them.
func (l *ledgers) noted(m *metadata) []proof.Event {
	l.mu.Lock()
	_, err := l.of(m)
	l.mu.Unlock()
	if err != nil {
		l.log.Warn("recording's log cannot be read", obs.AttrRecording, m.ID, obs.AttrErr, err)
	}
	return l.events(m.ID)
}

// seal writes and signs what is delivered, and brings it to the disk. It may be
// repeated after a crash: the last one counts.
func (l *ledgers) seal(m *metadata, sealed proof.Sealed) error {
	if err := l.store.at("seal " + m.ID); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g, err := l.of(m)
	if err == nil {
		err = g.log.Append(proof.TypeManifest, sealed)
	}
	if err == nil && l.keys != nil {
		err = l.keys.Sign(g.log)
	}
	if err == nil {
		err = g.file.Sync()
	}
	if err != nil {
		// The media is whole; that nobody vouches for it is for verify to say.
		l.log.Error("recording is not signed", obs.AttrRecording, m.ID, obs.AttrErr, err)
	}
	l.forget(m.ID)
	return nil
}

// drop ends the log of a recording that comes to its end without files.
func (l *ledgers) drop(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(id)
}

func (l *ledgers) forget(id string) {
	if g := l.open[id]; g != nil {
		delete(l.open, id)
		_ = g.file.Close()
	}
}

func (l *ledgers) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.open {
		l.forget(id)
	}
}

// happened notes an event of a recording in its log.
func (a *active) happened(e proof.Event) {
	m := a.snapshot()
	if e.At == 0 {
		e.At = time.Now().UnixMilli()
	}
	a.service.store.ledgers.note(&m, e)
}

// PublicKeys are the keys that recordings of this server are, or were, signed
// with; the current one first. Empty when it does not sign.
func (s *Service) PublicKeys() []proof.PublicKey {
	if s.opts.Keys == nil {
		return nil
	}
	list := []proof.PublicKey{s.opts.Keys.Current()}
	for _, k := range s.opts.Keys.Public() {
		if k.ID != list[0].ID {
			list = append(list, k)
		}
	}
	return list
}
