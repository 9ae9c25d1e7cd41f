package recording

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/events"
	"github.com/govidu/govidu/openvidu/studio"
)

// Rooms is what recordings need of the rules of rooms; *openvidu.Manager is one.
type Rooms interface {
	RecordingTarget(ctx context.Context, sessionID string) (openvidu.RecordingTarget, error)
	EnsureMedia(ctx context.Context, sessionID string) (client.Client, client.ID, error)
	SetRecording(ctx context.Context, sessionID string, r openvidu.RecordingMark) error
	Emit(ctx context.Context, sessionID string, e events.Event)
}

var (
	_ Rooms             = (*openvidu.Manager)(nil)
	_ openvidu.Recorder = (*Service)(nil)
)

// Options configure a Service. Dir, Rooms and Log are required; zero values of the
// rest mean the default beside them, unless said otherwise.
type Options struct {
	// Dir is the recordings folder (OPENVIDU_RECORDING_PATH), made when absent. The
	// media node must be able to write below it by the same path.
	Dir   string
	Rooms Rooms
	Log   *slog.Logger
	// NodeID names this server in metadata; recoveries take only their own node's.
	NodeID string
	// ProcessID is random per boot; default: made here.
	ProcessID string
	// PublicURL is https://host[:port]/, the base of recording URLs.
	PublicURL string
	// Storage takes copies of recordings; nil keeps them in Dir only. With
	// ReadyWhenUploaded a recording stays stopped until they are verified.
	Storage           Storage
	ReadyWhenUploaded bool
	// Studios compose; nil refuses composed recordings. It must be among the Manager's
	// recorders itself.
	Studios *studio.Service
	// Nodes are asked for a node that makes thumbnails; nil makes none.
	Nodes openvidu.MediaNodes
	// Pages draws web page layouts; nil refuses them.
	Pages Pages
	// AutostopTimeout is OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT. Zero is not a
	// default: it stops at once when the last participant leaves (§7.6).
	AutostopTimeout time.Duration

	StartTimeout time.Duration // wait for every stream's recorder, 10 s
	PageTimeout  time.Duration // more of it for a web page layout, 25 s
	StopTimeout  time.Duration // wait for one recorder to finish its file, 10 s
	MaxLength    time.Duration // one recording, 12 h
	MaxFileBytes int64         // one file, 20 GiB
	MinFreeStart uint64        // free bytes to start, 500 MiB
	MinFreeRun   uint64        // free bytes to go on, 100 MiB
	SaveInterval time.Duration // between metadata writes, 10 s
	CloseTimeout time.Duration // for files to become final at Close, 10 s
	// FreeBytes measures the volume of a folder; default: the file system's answer.
	FreeBytes func(dir string) (uint64, error)
	// Keys sign the recordings; nil leaves them unsigned.
	Keys *proof.Keys
}

func (o *Options) setDefaults() {
	set := func(d *time.Duration, v time.Duration) { *d = cmp.Or(*d, v) }
	set(&o.StartTimeout, 10*time.Second)
	set(&o.PageTimeout, 25*time.Second)
	set(&o.StopTimeout, 10*time.Second)
	set(&o.MaxLength, 12*time.Hour)
	set(&o.SaveInterval, 10*time.Second)
	set(&o.CloseTimeout, 10*time.Second)
	o.MaxFileBytes = cmp.Or(o.MaxFileBytes, 20<<30)
	o.MinFreeStart = cmp.Or(o.MinFreeStart, 500<<20)
	o.MinFreeRun = cmp.Or(o.MinFreeRun, 100<<20)
	o.ProcessID = cmp.Or(o.ProcessID, rand.Text())
	if o.FreeBytes == nil {
		o.FreeBytes = freeBytes
	}
	if o.PublicURL != "" {
		o.PublicURL = strings.TrimSuffix(o.PublicURL, "/") + "/"
	}
}

// Service records sessions. It is the openvidu.Recorder of a Manager and the
// other half of the REST calls. All methods are safe for concurrent use.
type Service struct {
	opts  Options
	log   *slog.Logger
	store *store

	ctx    context.Context // ends when Close gives up waiting
	cancel context.CancelFunc
	stop   chan struct{} // closed by Close: no new work
	wg     sync.WaitGroup
	// finalising bounds how many zips are made at once: they compete for the disk
	// with recordings in progress.
	finalising chan struct{}

	mu        sync.Mutex // leaf: the maps and closed
	closed    bool
	bySession map[string]*active
	byID      map[string]*active
}

// New opens the recordings folder and starts the service. Call Recover before
// anybody may ask for recordings, and Close at the end.
func New(o Options) (*Service, error) {
	o.setDefaults()
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find recordings folder: %w", err)
	}
	st, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	st.ledgers = &ledgers{store: st, keys: o.Keys, log: o.Log, open: map[string]*ledger{}}
	s := &Service{
		opts: o, log: o.Log, store: st, stop: make(chan struct{}), finalising: make(chan struct{}, 2),
		bySession: map[string]*active{}, byID: map[string]*active{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.spawn("recording.tick", s.tick)
	return s, nil
}

// spawn runs f on a goroutine that Close waits for, under a guard. It is false
// when the service is closed.
func (s *Service) spawn(where string, f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Go(func() {
		defer obs.Guard(s.log, where, nil)
		f()
	})
	return true
}

// Close stops what is still being recorded with openviduServerStopped, waits for
// the files, for CloseTimeout at most, and ends all goroutines. What could not be
// finished stays on the disk for the next start's Recover.
func (s *Service) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.CloseTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, a := range s.actives() {
		wg.Go(func() {
			defer obs.Guard(s.log, "recording.close", nil)
			_ = s.finish(ctx, a, openvidu.ReasonServerStopped)
			a.waitFinal(ctx)
		})
	}
	wg.Wait()
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if !again {
		close(s.stop)
	}
	s.cancel()
	s.wg.Wait()
	if again {
		return nil
	}
	s.store.ledgers.close()
	return s.store.close()
}

func (s *Service) actives() []*active {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*active, 0, len(s.byID))
	for _, a := range s.byID {
		all = append(all, a)
	}
	return all
}

func (s *Service) ofSession(sessionID string) *active {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bySession[sessionID]
}

func (s *Service) taken(sessionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.bySession[sessionID]
	return ok
}

func (s *Service) lookup(id string) *active {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// Check does what the contract tests of the session before it looks at the
// parameters of a start (§7.1), and gives the session's recording defaults:
// openvidu.ErrSessionNotFound, ErrConflict, ErrNotActive.
func (s *Service) Check(ctx context.Context, sessionID string) (openvidu.RecordingProperties, error) {
	t, err := s.check(ctx, sessionID)
	return t.Defaults, err
}

func (s *Service) check(ctx context.Context, sessionID string) (openvidu.RecordingTarget, error) {
	t, err := s.opts.Rooms.RecordingTarget(ctx, sessionID)
	switch {
	case err != nil:
		return t, err
	case t.MediaMode != openvidu.MediaRouted, t.RecordingID != "", s.taken(sessionID):
		return t, ErrConflict
	case !t.Active:
		return t, ErrNotActive
	}
	return t, nil
}

// Get gives one recording: ErrNotFound.
func (s *Service) Get(id string) (Recording, error) {
	if !idForm.MatchString(id) {
		return Recording{}, ErrNotFound
	}
	if a := s.lookup(id); a != nil {
		m := a.snapshot()
		return m.shown(), nil
	}
	m, err := s.store.readMeta(id)
	if err != nil {
		return Recording{}, ErrNotFound
	}
	return m.shown(), nil
}

// List gives all recordings, oldest first.
func (s *Service) List() ([]Recording, error) {
	entries, err := s.store.names(".")
	if err != nil {
		return nil, err
	}
	out := []Recording{}
	for _, e := range entries {
		if !e.IsDir() || !idForm.MatchString(e.Name()) {
			continue
		}
		if r, err := s.Get(e.Name()); err == nil {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Recording) int {
		return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

// Delete removes a recording and its files: ErrNotFound, ErrInProgress (until it
// is ready, failed or waits for its upload only), ErrReadOnly for one of another
// server.
func (s *Service) Delete(id string) error {
	if !idForm.MatchString(id) {
		return ErrNotFound
	}
	a := s.lookup(id)
	if a != nil && a.snapshot().Outcome == "" {
		return ErrInProgress
	}
	m, err := s.store.readMeta(id)
	switch {
	case err != nil:
		return ErrNotFound
	case m.foreign():
		return ErrReadOnly
	case m.Status != Ready && m.Status != Failed && m.Outcome == "":
		return ErrInProgress
	}
	if s.opts.Storage != nil {
		if err := s.opts.Storage.Delete(id); err != nil {
			return err
		}
	}
	if a != nil {
		s.drop(a)
	}
	if err := s.store.deleteFolder(id); err != nil {
		if errors.Is(err, fs.ErrNotExist) { // somebody else was faster
			return ErrNotFound
		}
		return err
	}
	return nil
}

// reserve takes the session and an id for a new recording: the session id, or
// with "~1", "~2" … when a folder of that name exists.
func (s *Service) reserve(t openvidu.RecordingTarget, p openvidu.RecordingProperties) (*active, error) {
	s.mu.Lock()
	_, taken := s.bySession[t.SessionID]
	closed := s.closed
	if !taken && !closed {
		s.bySession[t.SessionID] = nil // reserved: ids of one session are given one at a time
	}
	s.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if taken {
		return nil, ErrConflict
	}
	id := t.SessionID
	for n := 1; id == quarantine || s.unusable(id); n++ {
		id = t.SessionID + "~" + strconv.Itoa(n)
	}
	a := newActive(s, metadata{
		Recording:       newRecording(id, t.SessionID, time.Now().UnixMilli(), p),
		UniqueSessionID: t.UniqueID, Schema: schema, NodeID: s.opts.NodeID, ProcessID: s.opts.ProcessID,
	}, p)
	s.mu.Lock()
	s.byID[id], s.bySession[t.SessionID] = a, a
	s.mu.Unlock()
	if s.opts.Storage != nil {
		s.opts.Storage.Begin(id)
	}
	return a, nil
}

// drop forgets a recording that has come to its end: the disk has it now.
func (s *Service) drop(a *active) {
	m := a.snapshot()
	if s.opts.Storage != nil {
		s.opts.Storage.End(m.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[m.ID] == a {
		delete(s.byID, m.ID)
	}
	defer s.store.ledgers.drop(m.ID)
	s.forgetSession(m.SessionID, a)
}

// release frees the session for another recording, while this one is finalised.
func (s *Service) release(a *active) {
	m := a.snapshot()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetSession(m.SessionID, a)
}

func (s *Service) forgetSession(sessionID string, a *active) {
	if s.bySession[sessionID] == a {
		delete(s.bySession, sessionID)
	}
}

// url is where a finished recording is fetched.
func (s *Service) url(m *metadata, file string) *string {
	return new(s.opts.PublicURL + "openvidu/recordings/" + m.ID + "/" + file)
}
