package recorder

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/pipeline"
)

// prover keeps, beside a media file X, its log .X.proof.jsonl (proof.Log): a hash
// per stretch as it is written, gaps, pauses. And .X.heard, in place, how far
// what came in reaches, so that after a crash one can tell what is missing.
//
// hear and note are called under the File's lock; step on one goroutine at a time.
type prover struct {
	root  *os.Root
	name  string
	disk  *os.File // of the media
	file  *os.File // the log
	log   *proof.Log
	seg   segmenter
	heard *os.File
	until map[pipeline.Kind]time.Duration
	notes []note // not in the log yet
	err   error  // the log goes no further
}

type note struct {
	kind string
	data any
}

// pausedNote and gapNote are data of the log's entries.
type eventNote struct {
	Event string `json:"event"`
	AtMs  int64  `json:"atMs"` // file time
}

type openNote struct {
	File      string `json:"file"`
	Container string `json:"container"`
	ProcessID string `json:"processId"`
	NodeID    string `json:"nodeId"`
}

// maxNotes bounds what waits for the log.
const maxNotes = 1 << 14

func logName(name string) string {
	dir, base := path.Split(name)
	return dir + proof.LogName(base)
}

func heardName(name string) string {
	dir, base := path.Split(name)
	return dir + "." + base + ".heard"
}

func newProver(root *os.Root, name string, disk *os.File, m Manifest) (*prover, error) {
	p := &prover{root: root, name: name, disk: disk, seg: segmenter{r: disk, container: m.Container}, until: map[pipeline.Kind]time.Duration{}}
	var err error
	if p.file, err = root.OpenFile(logName(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o640); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if p.heard, err = root.OpenFile(heardName(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("open progress: %w", err)
	}
	p.saveHeard() // for its block
	p.log = proof.NewLog(p.file)
	p.err = p.log.Append(proof.TypeOpen, openNote{m.File, string(m.Container), m.ProcessID, m.NodeID})
	return p, nil
}

// resumeProver goes on with the log of a dead process, at its last whole entry. A
// log that is not there, or does not fit, begins anew.
func resumeProver(root *os.Root, name string, disk *os.File, m Manifest) (*prover, []proof.Segment, error) {
	old, err := root.OpenFile(logName(name), os.O_RDWR|os.O_APPEND, 0)
	var c proof.Chain
	if err == nil {
		c, err = proof.Read(old)
	}
	if err == nil && len(c.Entries) > 0 {
		err = old.Truncate(c.Valid)
	}
	if err != nil || len(c.Entries) == 0 {
		if old != nil {
			old.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("resume log: %w", err)
		}
		until := readHeard(root, name)
		p, err := newProver(root, name, disk, m)
		if p != nil {
			p.until = until
		}
		return p, nil, err
	}
	p := &prover{root: root, name: name, disk: disk, file: old, log: proof.Continue(old, c), until: readHeard(root, name),
		seg: segmenter{r: disk, container: m.Container}}
	return p, segmentsOf(c), nil
}

func segmentsOf(c proof.Chain) (list []proof.Segment) {
	for _, e := range c.Entries {
		if e.Type != proof.TypeSegment {
			continue
		}
		var s proof.Segment
		if s.UnmarshalJSON(e.Data) == nil {
			list = append(list, s)
		}
	}
	return list
}

// hear notes, for kind, that what came in reaches until (file time). It survives
// the process at once.
func (p *prover) hear(kind pipeline.Kind, until time.Duration) {
	if p == nil || p.heard == nil || until <= p.until[kind] {
		return
	}
	p.until[kind] = until
	p.saveHeard()
}

// saveHeard writes in place. On a full disk its block is there already.
func (p *prover) saveHeard() {
	b := fmt.Appendf(make([]byte, 0, heardLen), "%012d %012d", p.until[pipeline.Audio].Milliseconds(), p.until[pipeline.Video].Milliseconds())
	b = fmt.Appendf(b, " %08x\n", crc32.ChecksumIEEE(b))
	_, _ = p.heard.WriteAt(b, 0)
}

const heardLen = 12 + 1 + 12 + 1 + 8 + 1

func readHeard(root *os.Root, name string) map[pipeline.Kind]time.Duration {
	out := map[pipeline.Kind]time.Duration{}
	b, err := root.ReadFile(heardName(name))
	if err != nil || len(b) < heardLen {
		return out
	}
	var audio, video int64
	var sum uint32
	if _, err := fmt.Sscanf(string(b[:heardLen]), "%d %d %x", &audio, &video, &sum); err != nil || sum != crc32.ChecksumIEEE(b[:25]) {
		return out
	}
	out[pipeline.Audio], out[pipeline.Video] = time.Duration(audio)*time.Millisecond, time.Duration(video)*time.Millisecond
	return out
}

func (p *prover) note(kind string, data any) {
	if p != nil && len(p.notes) < maxNotes {
		p.notes = append(p.notes, note{kind, data})
	}
}

// step brings notes and finished stretches into the log.
func (p *prover) step(notes []note, last bool) error {
	if p == nil || p.err != nil {
		return nil
	}
	for _, n := range notes {
		if err := p.log.Append(n.kind, n.data); err != nil {
			p.err = err
			return err
		}
	}
	st, err := p.disk.Stat()
	if err != nil {
		return err
	}
	list, err := p.seg.next(st.Size(), last)
	for _, s := range list {
		if e := p.log.Append(proof.TypeSegment, s); e != nil {
			p.err = e
			return e
		}
	}
	return err
}

// close ends the log of a file that lasts durationMs; step(…, true) came before.
func (p *prover) close(m *Manifest) error {
	if p == nil {
		return nil
	}
	err := p.err
	if err == nil {
		err = p.log.Append(proof.TypeClose, eventNote{Event: string(m.Status), AtMs: m.DurationMs})
	}
	m.LogHead = p.log.Head().String()
	err = errors.Join(err, p.file.Sync(), p.file.Close())
	if p.heard != nil {
		err = errors.Join(err, p.heard.Close())
	}
	return err
}

// forget removes the progress of a file that is final.
func (p *prover) forget() {
	if p != nil {
		_ = p.root.Remove(heardName(p.name))
	}
}

// missing adds the gaps between what was heard and what is in the file.
func (p *prover) missing(m *Manifest, s Summary, logged []proof.Segment, cause string) {
	ends := map[pipeline.Kind]time.Duration{}
	for _, t := range s.Tracks {
		ends[t.Kind] = max(ends[t.Kind], t.end)
	}
	until := map[pipeline.Kind]time.Duration{}
	for _, k := range kinds {
		until[k] = p.until[k]
		if len(logged) > 0 && ends[k] > 0 {
			// The disk may have lost what the log still has: a power cut.
			until[k] = max(until[k], time.Duration(logged[len(logged)-1].ToMs)*time.Millisecond)
		}
	}
	for _, k := range kinds {
		if until[k]-ends[k] >= time.Millisecond {
			m.addGap(k, ends[k], until[k], cause)
		}
	}
}
