package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// String is the hash in lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Entry is one line of a log. Data is canonical JSON. Time is in ms since 1970.
// Prev is the hash (hex) of the line before, without its newline; 64 zeros in the
// first.
type Entry struct {
	Data json.RawMessage `json:"data"`
	Prev string          `json:"prev"`
	Seq  int64           `json:"seq"`
	Time int64           `json:"time"`
	Type string          `json:"type"`
}

// MaxLine bounds a line, without its newline, in bytes.
const MaxLine = 1 << 20

// ErrTooLong refuses a line above MaxLine; the log goes on.
var ErrTooLong = errors.New("entry is too long")

// Log appends entries. Each is one Write call, so that a process that dies leaves
// whole lines and at most one torn one. Not safe for concurrent use.
type Log struct {
	w    io.Writer
	head Hash
	seq  int64
	err  error
}

// NewLog begins a log on an empty w.
func NewLog(w io.Writer) *Log { return &Log{w: w} }

// Continue goes on with a log that Read has read; w appends behind its valid part.
func Continue(w io.Writer, c Chain) *Log {
	return &Log{w: w, head: c.Head, seq: int64(len(c.Entries))}
}

// Head is the hash of the last line; zeros when there is none.
func (l *Log) Head() Hash { return l.head }

// Len is how many entries there are.
func (l *Log) Len() int64 { return l.seq }

// Append writes an entry. After an error of the writer every call gives it again:
// what follows a torn line could not be read.
func (l *Log) Append(kind string, data any) error {
	if l.err != nil {
		return l.err
	}
	d, err := Canonical(data)
	if err != nil {
		return fmt.Errorf("append %s: %w", kind, err)
	}
	line, err := Canonical(Entry{Type: kind, Time: time.Now().UnixMilli(), Seq: l.seq + 1, Prev: l.head.String(), Data: d})
	if err != nil {
		return fmt.Errorf("append %s: %w", kind, err)
	}
	if len(line) > MaxLine {
		return fmt.Errorf("append %s: %w", kind, ErrTooLong)
	}
	if _, err := l.w.Write(append(line, '\n')); err != nil {
		l.err = fmt.Errorf("append %s: %w", kind, err)
		return l.err
	}
	l.head, l.seq = sha256.Sum256(line), l.seq+1
	return nil
}

// Chain is what Read finds in a log.
type Chain struct {
	Entries []Entry
	Head    Hash  // of the last whole entry
	Valid   int64 // bytes up to its end
	// Torn says that the last line has no end: a process died while it wrote.
	Torn bool
	// Broken says what is wrong with the line after the last entry, which is not
	// merely torn: it was changed, or one before it taken away. Empty when all is well.
	Broken string
}

// maxLog bounds a log that is read: of a day of recording, many times over.
const maxLog = 256 << 20

// Read reads a log up to its end or to the first line that does not continue it.
// The error is the reader's.
func Read(r io.Reader) (Chain, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxLog+1))
	if err != nil {
		return Chain{}, fmt.Errorf("read log: %w", err)
	}
	var c Chain
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		if !whole {
			c.Torn = true
			return c, nil
		}
		e, err := parseEntry(line, c.Head, int64(len(c.Entries))+1)
		if err != nil {
			c.Broken = err.Error()
			return c, nil
		}
		c.Entries = append(c.Entries, e)
		c.Head = sha256.Sum256(line)
		c.Valid += int64(len(line)) + 1
		b = rest
	}
	return c, nil
}

func parseEntry(line []byte, prev Hash, seq int64) (Entry, error) {
	var e Entry
	if len(line) > MaxLine {
		return e, ErrTooLong
	}
	canonical, err := canonicalOf(line)
	switch {
	case err != nil:
		return e, fmt.Errorf("line %d: %w", seq, err)
	case !bytes.Equal(canonical, line):
		return e, fmt.Errorf("line %d is not in canonical form", seq)
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("line %d: %w", seq, err)
	}
	switch {
	case e.Seq != seq:
		return e, fmt.Errorf("line %d has number %d", seq, e.Seq)
	case e.Prev != prev.String():
		return e, fmt.Errorf("line %d does not follow the line before it", seq)
	}
	return e, nil
}

// Tail is the state of a log that is being written: the number and the hash of its
// last whole line, and how many bytes of media its segments cover. It reads the
// end of the log and does not follow the chain; Name is left empty.
func Tail(r interface {
	io.ReaderAt
	io.Seeker
}) (CheckpointFile, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return CheckpointFile{}, fmt.Errorf("read tail: %w", err)
	}
	// Enough for a few lines, all of which are short in a file's log.
	const most = 64 << 10
	from := max(size-most, 0)
	b := make([]byte, size-from)
	if _, err := r.ReadAt(b, from); err != nil && !errors.Is(err, io.EOF) {
		return CheckpointFile{}, fmt.Errorf("read tail: %w", err)
	}
	var c CheckpointFile
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	for _, line := range bytes.Split(b, []byte{'\n'}) {
		var e Entry
		if json.Unmarshal(line, &e) != nil { // the first may be cut, the last is empty
			continue
		}
		sum := sha256.Sum256(line)
		c.Head, c.Entries = hex.EncodeToString(sum[:]), e.Seq
		var s Segment
		if e.Type == TypeSegment && json.Unmarshal(e.Data, &s) == nil {
			c.Bytes = s.To
		}
	}
	return c, nil
}
