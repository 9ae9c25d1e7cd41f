package proof

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	headLen    = 100
	segmentLen = 500
	segments   = 10
	tailLen    = 50
)

// mediaBytes is a file of ten seconds: head, a segment per second, index.
func mediaBytes(seed byte) []byte {
	b := make([]byte, headLen+segments*segmentLen+tailLen)
	for i := range b {
		b[i] = byte(i*7) ^ seed
	}
	return b
}

func hexSum(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func fileOf(name string, b []byte) File {
	f := File{Name: name, Size: int64(len(b)), SHA256: hexSum(b), Status: "final", DurationMs: segments * 1000, Tracks: []Track{}, Gaps: []Gap{}}
	for i := range int64(segments) {
		from := headLen + i*segmentLen
		f.Segments = append(f.Segments, Segment{from, from + segmentLen, i * 1000, (i + 1) * 1000, hexSum(b[from : from+segmentLen])})
	}
	return f
}

// recordingIn makes a signed recording of two files, loose or zipped.
func recordingIn(t *testing.T, keys *Keys, zipped bool, change func(*Manifest)) string {
	t.Helper()
	dir := t.TempDir()
	m := Manifest{Schema: Schema, ID: "room", CreatedAt: 1, Left: []Left{}, Events: []Event{}}
	media := map[string][]byte{"a.webm": mediaBytes(1), "b.mp4": mediaBytes(2)}
	for _, name := range []string{"a.webm", "b.mp4"} {
		m.Files = append(m.Files, fileOf(name, media[name]))
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if zipped {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, f := range m.Files {
			e, err := w.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Store})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Write(media[f.Name]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range r.File {
			if m.Files[i].ZipOffset, err = e.DataOffset(); err != nil {
				t.Fatal(err)
			}
		}
		m.Zip = Archive{"room.zip", int64(b.Len()), hexSum(b.Bytes())}
		write("room.zip", b.Bytes())
	} else {
		for name, b := range media {
			write(name, b)
		}
	}
	if change != nil {
		change(&m)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(ManifestFile, text)
	var b bytes.Buffer
	l := NewLog(&b)
	steps := []error{
		l.Append(TypeOpen, Opened{ID: "room"}),
		l.Append(TypeEvent, Event{At: 1, Event: "started", Detail: "<ünïcode> \x7f\"\\ & \u2028"}),
		keys.Sign(l),
		l.Append(TypeManifest, Sealed{Name: ManifestFile, SHA256: hexSum(text), Size: int64(len(text)), Files: sealedOf(m)}),
		keys.Sign(l),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	write(LogFile, b.Bytes())
	return dir
}

func sealedOf(m Manifest) (list []SealedFile) {
	for _, f := range m.Files {
		list = append(list, SealedFile{f.Name, f.SHA256, f.Size})
	}
	if m.Zip.Name != "" {
		list = append(list, SealedFile{m.Zip.Name, m.Zip.SHA256, m.Zip.Size})
	}
	return list
}

func newKeys(t *testing.T) *Keys {
	t.Helper()
	k, err := OpenKeys(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func edit(t *testing.T, dir, name string, f func([]byte) []byte) {
	t.Helper()
	at := filepath.Join(dir, name)
	b, err := os.ReadFile(at)
	if err == nil {
		err = os.WriteFile(at, f(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerify(t *testing.T) {
	keys := newKeys(t)
	flip := func(at int) func([]byte) []byte { return func(b []byte) []byte { b[at] ^= 1; return b } }
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	lines := func(f func([]string) []string) func([]byte) []byte {
		return func(b []byte) []byte {
			return []byte(strings.Join(f(strings.SplitAfter(string(b), "\n")), ""))
		}
	}
	for _, c := range []struct {
		name   string
		zipped bool
		make   func(*Manifest)
		spoil  func(t *testing.T, dir string)
		want   []string // findings: kind file from–to
		notes  int
	}{
		{name: "untouched"},
		{name: "untouched zip", zipped: true},
		{name: "a flipped byte", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "b.mp4", flip(headLen+3*segmentLen+17))
		}, want: []string{"changed b.mp4 3.000–4.000 s"}},
		{name: "two flipped bytes side by side", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "a.webm", flip(headLen+3*segmentLen))
			edit(t, dir, "a.webm", flip(headLen+5*segmentLen-1))
		}, want: []string{"changed a.webm 3.000–5.000 s"}},
		{name: "a flipped byte in the zip", zipped: true, spoil: func(t *testing.T, dir string) {
			// The second file lies behind the first and two headers.
			edit(t, dir, "room.zip", func(b []byte) []byte {
				at := bytes.Index(b, mediaBytes(2)[:headLen])
				b[at+headLen+9*segmentLen+1] ^= 0x80
				return b
			})
		}, want: []string{"changed b.mp4 9.000–10.000 s"}},
		{name: "a flipped byte in the index", spoil: func(t *testing.T, dir string) { edit(t, dir, "a.webm", flip(headLen+segments*segmentLen+3)) }, want: []string{"changed a.webm"}},
		{name: "the zip's directory", zipped: true, spoil: func(t *testing.T, dir string) {
			edit(t, dir, "room.zip", func(b []byte) []byte { b[len(b)-30] ^= 1; return b })
		}, want: []string{"changed room.zip"}},
		{name: "a cut tail", spoil: func(t *testing.T, dir string) { edit(t, dir, "a.webm", cut(tailLen+2*segmentLen+1)) }, want: []string{"missing a.webm 7.000–10.000 s"}},
		{name: "a cut zip", zipped: true, spoil: func(t *testing.T, dir string) {
			edit(t, dir, "room.zip", func(b []byte) []byte {
				return b[:bytes.Index(b, mediaBytes(2)[:headLen])+headLen+4*segmentLen]
			})
		}, want: []string{"missing b.mp4 4.000–10.000 s"}},
		{name: "added bytes", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "a.webm", func(b []byte) []byte { return append(b, 'x') })
		}, want: []string{"changed a.webm"}},
		{name: "a deleted file", spoil: func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "b.mp4")) }, want: []string{"missing b.mp4 0.000–10.000 s"}},
		{name: "a deleted zip", zipped: true, spoil: func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "room.zip")) },
			want: []string{"missing a.webm 0.000–10.000 s", "missing b.mp4 0.000–10.000 s"}},
		{name: "an edited manifest", spoil: func(t *testing.T, dir string) {
			edit(t, dir, ManifestFile, func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"createdAt":1`), []byte(`"createdAt":2`), 1)
			})
		}, want: []string{"changed .manifest.json"}},
		{name: "media and manifest edited together", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "a.webm", flip(headLen+1))
			was := mediaBytes(1)
			now := flip(headLen + 1)(mediaBytes(1))
			edit(t, dir, ManifestFile, func(b []byte) []byte {
				b = bytes.Replace(b, []byte(hexSum(was)), []byte(hexSum(now)), 1)
				return bytes.Replace(b, []byte(hexSum(was[headLen:headLen+segmentLen])), []byte(hexSum(now[headLen:headLen+segmentLen])), 1)
			})
		}, want: []string{"changed .manifest.json", "changed a.webm"}},
		{name: "a deleted manifest", spoil: func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, ManifestFile))
			edit(t, dir, "a.webm", flip(headLen+1))
		}, want: []string{"missing .manifest.json", "changed a.webm"}},
		{name: "a line changed", spoil: func(t *testing.T, dir string) {
			edit(t, dir, LogFile, func(b []byte) []byte { return bytes.Replace(b, []byte("started"), []byte("paused!"), 1) })
		}, want: []string{"chain .proof.jsonl", "unsigned .proof.jsonl"}},
		{name: "a line taken out", spoil: func(t *testing.T, dir string) {
			edit(t, dir, LogFile, lines(func(l []string) []string { return append(l[:1:1], l[2:]...) }))
		}, want: []string{"chain .proof.jsonl", "unsigned .proof.jsonl"}},
		{name: "a line that is not canonical", spoil: func(t *testing.T, dir string) {
			edit(t, dir, LogFile, func(b []byte) []byte { return bytes.Replace(b, []byte(`{"data"`), []byte(`{ "data"`), 1) })
		}, want: []string{"chain .proof.jsonl", "unsigned .proof.jsonl"}},
		{name: "a log cut behind a checkpoint", spoil: func(t *testing.T, dir string) {
			edit(t, dir, LogFile, lines(func(l []string) []string { return l[:3] }))
		}, want: []string{"unsigned .proof.jsonl"}},
		{name: "a log without its last signature", spoil: func(t *testing.T, dir string) {
			edit(t, dir, LogFile, lines(func(l []string) []string { return l[:4] }))
		}, want: []string{"unsigned .proof.jsonl"}},
		{name: "a torn log", spoil: func(t *testing.T, dir string) { edit(t, dir, LogFile, cut(9)) }, want: []string{"chain .proof.jsonl", "unsigned .proof.jsonl"}},
		{name: "no log", spoil: func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, LogFile)) }, want: []string{"unsigned .proof.jsonl"}},
		{name: "lines after the signature", spoil: func(t *testing.T, dir string) {
			edit(t, dir, LogFile, func(b []byte) []byte {
				c, err := Read(bytes.NewReader(b))
				out := bytes.NewBuffer(b)
				if err = errors.Join(err, Continue(out, c).Append(TypeEvent, Event{Event: "forged"})); err != nil {
					t.Fatal(err)
				}
				return out.Bytes()
			})
		}, want: []string{"unsigned .proof.jsonl"}},
		{name: "a forged signature", spoil: func(t *testing.T, dir string) {
			edit(t, dir, LogFile, func(b []byte) []byte {
				c, err := Read(bytes.NewReader(bytes.Join(bytes.SplitAfter(b, []byte("\n"))[:4], nil)))
				if err != nil {
					t.Fatal(err)
				}
				out := bytes.NewBuffer(bytes.Join(bytes.SplitAfter(b, []byte("\n"))[:4], nil))
				if err := Continue(out, c).Append(TypeSignature, Signature{keys.Current().ID, base64.StdEncoding.EncodeToString(make([]byte, 64))}); err != nil {
					t.Fatal(err)
				}
				return out.Bytes()
			})
		}, want: []string{"signature .proof.jsonl"}},
		{name: "a crash", make: func(m *Manifest) {
			m.Files[0].Gaps = []Gap{{"AUDIO", 9000, 9400, CauseCrash}, {"VIDEO", 2000, 2100, ""}}
		}, want: []string{"missing a.webm 9.000–9.400 s"}, notes: 1},
		{name: "a take without media", make: func(m *Manifest) { m.Left = []Left{{"c", "no media\x1b"}} }, want: []string{"missing c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := recordingIn(t, keys, c.zipped, c.make)
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			r, err := Verify(context.Background(), os.DirFS(dir), keys.Public())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range r.Findings {
				s, _, _ := strings.Cut(f.String(), ": ")
				got = append(got, s)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || r.True != (len(c.want) == 0) || len(r.Notes) != c.notes {
				t.Errorf("true %v, notes %v, findings\n%v, want\n%v", r.True, r.Notes, r.Findings, c.want)
			}
		})
	}
}

func TestSwappedKey(t *testing.T) {
	dir := recordingIn(t, newKeys(t), false, nil)
	r, err := Verify(context.Background(), os.DirFS(dir), newKeys(t).Public())
	if err != nil || r.True || len(r.Findings) != 1 || r.Findings[0].Kind != UnknownKey || r.Key != "" {
		t.Errorf("report %+v, %v", r, err)
	}
}

func TestNothingToVerify(t *testing.T) {
	if _, err := Verify(context.Background(), os.DirFS(t.TempDir()), nil); !errors.Is(err, ErrNoProof) {
		t.Errorf("an empty folder: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, os.DirFS(recordingIn(t, newKeys(t), false, nil)), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled verification: %v", err)
	}
}

// A third party needs jq, sha256sum and openssl only: the commands of
// docs/recording-proof.md.
func TestThirdParty(t *testing.T) {
	for _, tool := range []string{"jq", "openssl", "sha256sum", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("this test needs %s: scripts/install.sh jq", tool)
		}
	}
	keys := newKeys(t)
	dir := recordingIn(t, keys, false, nil)
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), keys.Current().PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-euc", `
		jq -cS . .proof.jsonl | cmp - .proof.jsonl
		prev=0000000000000000000000000000000000000000000000000000000000000000
		while IFS= read -r line; do
			test "$(printf %s "$line" | jq -r .prev)" = "$prev"
			if [ "$(printf %s "$line" | jq -r .type)" = signature ]; then
				printf 'govidu-proof-1:%s' "$prev" > message
				printf %s "$line" | jq -r .data.value | base64 -d > value
				openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in message -sigfile value
			fi
			prev=$(printf %s "$line" | sha256sum | cut -c1-64)
		done < .proof.jsonl
		test "$(jq -r 'select(.type=="manifest").data.sha256' .proof.jsonl)" = "$(sha256sum < .manifest.json | cut -c1-64)"
		jq -r '.files[0].segments[3] | "\(.[0]) \(.[1]) \(.[4])"' .manifest.json | while read from to sum; do
			test "$(tail -c +$((from+1)) a.webm | head -c $((to-from)) | sha256sum | cut -c1-64)" = "$sum"
		done`)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "Verified Successfully") != 2 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestMissingText(t *testing.T) {
	for cause, want := range map[string]string{
		CauseCrash: "crash)", CauseDisk: "disk)", CauseWorker: "worker)", CauseLoad: "load)", "\x1b[31m": "(?[31m)",
	} {
		if got := missingText(Gap{Kind: "VIDEO", Cause: cause}); !strings.HasPrefix(got, "video that was heard is not in the file (") || !strings.HasSuffix(got, want) {
			t.Errorf("%q: %s", cause, got)
		}
	}
}
