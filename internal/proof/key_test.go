package proof

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "keys")
	first, err := OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenKeys(dir)
	if err != nil || again.Current().ID != first.Current().ID {
		t.Fatalf("the second start has key %v, %v", again, err)
	}
	if st, err := os.Stat(filepath.Join(dir, signingFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("private key: %v, %v", st.Mode(), err)
	}
	recorded := recordingIn(t, first, false, nil)
	next, err := Rotate(dir)
	if err != nil || next.ID == first.Current().ID {
		t.Fatalf("rotated to %s, %v", next.ID, err)
	}
	rotated, err := OpenKeys(dir)
	if err != nil || rotated.Current().ID != next.ID || len(rotated.Public()) != 2 {
		t.Fatalf("after a rotation %+v, %v", rotated, err)
	}
	// What the old key signed is still true.
	if r, err := Verify(context.Background(), os.DirFS(recorded), rotated.Public()); err != nil || !r.True || r.Key != first.Current().ID {
		t.Errorf("recording of the old key: %+v, %v", r, err)
	}
	if err := os.Chmod(filepath.Join(dir, signingFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(dir); err == nil {
		t.Error("a private key that everybody can read is taken")
	}
	if _, err := ParsePublicKeys([]byte("nothing")); err == nil {
		t.Error("a file without keys is taken")
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"b":1,"a":[true,null,"x<&>é\u2028\u007f\u0001\/"]}`, "{\"a\":[true,null,\"x<&>é\u2028\\u007f\\u0001/\"],\"b\":1}"},
		{`{"a":1.5}`, ""}, {`{"a":9007199254740993}`, ""}, {`{"a":1} {}`, ""}, {"{\"a\":\"\xff\"}", ""},
		{`[-0]`, `[0]`},
	} {
		got, err := canonicalOf([]byte(c.in))
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s becomes %s, %v, want %s", c.in, got, err, c.want)
		}
	}
}

// A writer that fails ends the log: what would follow a torn line is unreadable.
func TestLogEndsWithItsWriter(t *testing.T) {
	w := &failing{after: 1}
	l := NewLog(w)
	if err := l.Append("a", 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Append("b", 2); !errors.Is(err, errDisk) {
			t.Fatalf("append after a failure: %v", err)
		}
	}
	if l.Len() != 1 {
		t.Errorf("%d entries", l.Len())
	}
	if err := NewLog(&bytes.Buffer{}).Append("a", string(make([]byte, MaxLine))); !errors.Is(err, ErrTooLong) {
		t.Errorf("a long entry: %v", err)
	}
}

func TestTail(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(&b)
	for i := range int64(2000) {
		if err := l.Append(TypeSegment, Segment{i, i + 1, i, i + 1, hexSum(nil)}); err != nil {
			t.Fatal(err)
		}
	}
	b.WriteString(`{"torn`)
	c, err := Tail(bytes.NewReader(b.Bytes()))
	if err != nil || c.Entries != 2000 || c.Head != l.Head().String() || c.Bytes != 2000 {
		t.Errorf("tail %+v, %v", c, err)
	}
}

type failing struct{ after int }

var errDisk = errors.New("disk")

func (f *failing) Write(b []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errDisk
	}
	return len(b), nil
}

func FuzzLog(f *testing.F) {
	var b bytes.Buffer
	l := NewLog(&b)
	if err := errors.Join(l.Append(TypeOpen, Opened{ID: "x"}), l.Append(TypeSegment, Segment{1, 2, 3, 4, hexSum(nil)})); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Read(bytes.NewReader(b))
		if err != nil || c.Valid > int64(len(b)) {
			t.Fatalf("%+v, %v", c, err)
		}
		// What was read goes on as a log that reads back.
		out := bytes.NewBuffer(append([]byte(nil), b[:c.Valid]...))
		if err := Continue(out, c).Append("more", 1); err != nil {
			t.Fatal(err)
		}
		if again, err := Read(out); err != nil || len(again.Entries) != len(c.Entries)+1 || again.Broken != "" {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}
