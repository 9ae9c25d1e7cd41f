package proof

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// ErrNoProof: the folder holds nothing to verify by. It may be a recording of
// another server, or one still in progress.
var ErrNoProof = errors.New("no proof in this folder")

// maxManifest bounds a manifest that is read.
const maxManifest = 256 << 20

// Verify checks the recording in folder against its log and manifest, with the
// public keys that the caller trusts. The error is for folders that cannot be
// verified (ErrNoProof, unreadable, ctx); everything else is a finding.
func Verify(ctx context.Context, folder fs.FS, keys []PublicKey) (Report, error) {
	v := verifier{ctx: ctx, folder: folder, keys: keys, report: Report{Findings: []Finding{}, Notes: []Finding{}}}
	sealed, logged, err := v.readLog()
	if err != nil {
		return v.report, err
	}
	m, read, err := v.readManifest(sealed, logged)
	switch {
	case err != nil:
		return v.report, err
	case read:
		err = v.checkFiles(m)
	case sealed != nil:
		for _, f := range sealed.Files {
			if err := v.checkFile("", File{Name: f.Name, SHA256: f.SHA256, Size: f.Size}, 0); err != nil {
				return v.report, err
			}
		}
	}
	v.report.True = len(v.report.Findings) == 0
	return v.report, err
}

type verifier struct {
	ctx    context.Context
	folder fs.FS
	keys   []PublicKey
	report Report
}

// readLog follows the chain and its signatures. It gives the last manifest entry
// that a good or at least fitting log holds, and whether there is a log at all.
func (v *verifier) readLog() (sealed *Sealed, logged bool, err error) {
	f, err := v.folder.Open(LogFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	c, err := Read(f)
	if err != nil {
		return nil, true, fmt.Errorf("verify: %w", err)
	}
	if c.Broken != "" {
		v.report.find(BadChain, LogFile, "the chain ends after %d entries: %s", len(c.Entries), c.Broken)
	}
	if c.Torn {
		v.report.find(BadChain, LogFile, "the last line is cut off, after %d entries", len(c.Entries))
	}
	sealedAt, signedTo := -1, -1
	for i, e := range c.Entries {
		switch e.Type {
		case TypeOpen:
			var o Opened
			if json.Unmarshal(e.Data, &o) == nil && i == 0 {
				v.report.ID = o.ID
			}
		case TypeManifest:
			s := &Sealed{}
			if err := json.Unmarshal(e.Data, s); err != nil || s.Name != ManifestFile {
				v.report.find(BadChain, LogFile, "line %d is no manifest entry", i+1)
				continue
			}
			sealed, sealedAt = s, i
		case TypeSignature:
			if v.checkSignature(i, e) {
				signedTo = i
			}
		}
	}
	switch {
	case sealed == nil:
		v.report.find(Unsigned, LogFile, "the log does not say what was delivered: it was cut, or the recording is not final")
	case signedTo < sealedAt && !slices.ContainsFunc(v.report.Findings, func(f Finding) bool { return f.Kind == UnknownKey || f.Kind == BadSign }):
		v.report.find(Unsigned, LogFile, "no signature over the manifest")
	}
	if n := len(c.Entries) - 1 - signedTo; signedTo >= sealedAt && sealed != nil && n > 0 {
		v.report.find(Unsigned, LogFile, "%d lines after the last signature are not signed", n)
	}
	if sealed != nil {
		v.report.Recovered = sealed.Recovered
	}
	return sealed, true, nil
}

func (v *verifier) checkSignature(i int, e Entry) bool {
	var s Signature
	value := []byte(nil)
	err := json.Unmarshal(e.Data, &s)
	if err == nil {
		value, err = base64.StdEncoding.DecodeString(s.Value)
	}
	if err != nil || len(value) != ed25519.SignatureSize {
		v.report.find(BadSign, LogFile, "line %d is no signature", i+1)
		return false
	}
	k := slices.IndexFunc(v.keys, func(k PublicKey) bool { return k.ID == s.Key })
	switch {
	case k < 0:
		text := "signed with key " + printable(s.Key) + ", which is not among the known ones"
		if !slices.ContainsFunc(v.report.Findings, func(f Finding) bool { return f.Kind == UnknownKey && f.Text == text }) {
			v.report.find(UnknownKey, LogFile, "%s", text)
		}
		return false
	case !ed25519.Verify(v.keys[k].Key, []byte(messagePrefix+e.Prev), value):
		v.report.find(BadSign, LogFile, "the signature in line %d does not fit", i+1)
		return false
	}
	v.report.Key, v.report.SignedAt = s.Key, e.Time
	return true
}

// printable keeps what a file says from writing to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s[:min(len(s), 64)])
}

// readManifest reads the manifest; read is false when it is gone and the log's
// list of files must do.
func (v *verifier) readManifest(sealed *Sealed, logged bool) (m Manifest, read bool, err error) {
	b, err := v.readFile(ManifestFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !logged:
		return m, false, ErrNoProof
	case errors.Is(err, fs.ErrNotExist):
		v.report.find(Missing, ManifestFile, "the manifest is gone: changes can be told by file, not by second")
		return m, false, nil
	case err != nil:
		return m, false, fmt.Errorf("verify: %w", err)
	}
	if sum := sha256.Sum256(b); sealed != nil && hex.EncodeToString(sum[:]) != sealed.SHA256 {
		v.report.find(Changed, ManifestFile, "the manifest is not the one that was signed")
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Schema < 1 || m.Schema > Schema {
		v.report.find(Changed, ManifestFile, "the manifest cannot be read")
		return m, false, nil
	}
	if !logged {
		v.report.find(Unsigned, LogFile, "there is no log: nobody signed this recording")
	}
	if v.report.ID == "" {
		v.report.ID = m.ID
	}
	v.report.Recovered = v.report.Recovered || m.Recovered
	// What was signed outweighs what the manifest says now.
	if sealed != nil {
		for _, s := range sealed.Files {
			i := slices.IndexFunc(m.Files, func(f File) bool { return f.Name == s.Name })
			switch {
			case i < 0 && s.Name == m.Zip.Name && m.Zip.Name != "":
				m.Zip.SHA256, m.Zip.Size = s.SHA256, s.Size
			case i < 0:
				v.report.find(Changed, s.Name, "the file was signed, and the manifest does not know it")
			default:
				m.Files[i].SHA256, m.Files[i].Size = s.SHA256, s.Size
			}
		}
	}
	return m, true, nil
}

func (v *verifier) readFile(name string) ([]byte, error) {
	f, err := v.folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err == nil && len(b) > maxManifest {
		err = fmt.Errorf("%s is too long", name)
	}
	return b, err
}

func (v *verifier) checkFiles(m Manifest) error {
	before := len(v.report.Findings)
	for _, f := range m.Files {
		offset := int64(0)
		archive := ""
		if m.Zip.Name != "" {
			archive, offset = m.Zip.Name, f.ZipOffset
			if offset == 0 { // schema 1 did not note it
				archive = ""
			}
		}
		if archive == "" && m.Zip.Name != "" {
			continue
		}
		if err := v.checkFile(archive, f, offset); err != nil {
			return err
		}
	}
	for _, l := range m.Left {
		v.report.find(Missing, l.Name, "nothing of this take is in the recording: %s", printable(l.Reason))
	}
	if m.Zip.Name == "" {
		return nil
	}
	// The zip's own bytes, unless its files are wrong already: those say it better.
	media := slices.ContainsFunc(v.report.Findings[before:], func(f Finding) bool { return f.Kind == Changed || f.Kind == Missing && f.File != "" })
	bad, err := v.compare(m.Zip.Name, 0, m.Zip.Size, m.Zip.SHA256)
	switch {
	case err != nil:
		return err
	case bad == "" || media && bad != gone:
	case bad == gone:
		if !media {
			v.report.find(Missing, m.Zip.Name, "the file is gone")
		}
	default:
		v.report.find(Changed, m.Zip.Name, "bytes outside of the recorded files were changed")
	}
	return nil
}

const gone = "gone"

// compare hashes size bytes of a file from offset on: "" is the same, gone no file
// or none of the bytes, other texts say what differs.
func (v *verifier) compare(name string, offset, size int64, want string) (string, error) {
	r, have, closer, err := v.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return gone, nil
	}
	if err != nil {
		return "", err
	}
	defer closer.Close()
	sum, n, err := v.sum(r, offset, size)
	switch {
	case err != nil:
		return "", fmt.Errorf("verify %s: %w", name, err)
	case n < size:
		return fmt.Sprintf("%d of %d bytes are there", n, size), nil
	case offset == 0 && have > size:
		return fmt.Sprintf("%d bytes were added", have-size), nil
	case sum != want:
		return "the bytes are others", nil
	}
	return "", nil
}

func (v *verifier) open(name string) (io.ReaderAt, int64, io.Closer, error) {
	if !fs.ValidPath(name) || strings.Contains(name, "/") {
		return nil, 0, nil, fmt.Errorf("verify: %q is no file name: %w", printable(name), fs.ErrNotExist)
	}
	f, err := v.folder.Open(name)
	if err != nil {
		return nil, 0, nil, err
	}
	st, err := f.Stat()
	r, ok := f.(io.ReaderAt)
	if err == nil && (!ok || !st.Mode().IsRegular()) {
		err = fmt.Errorf("verify: %s is no ordinary file", name)
	}
	if err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	return r, st.Size(), f, nil
}

// sum hashes up to size bytes from offset on, and says how many there were.
func (v *verifier) sum(r io.ReaderAt, offset, size int64) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, &ctxReader{v.ctx, io.NewSectionReader(r, offset, size)})
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// checkFile checks one media file: as such, or where it lies in an archive.
func (v *verifier) checkFile(archive string, f File, offset int64) error {
	v.report.Files++
	in := f.Name
	if archive != "" {
		in = archive
	}
	for _, g := range f.Gaps {
		switch g.Cause {
		case "":
			v.report.Notes = span(v.report.Notes, Finding{Kind: Lost, File: f.Name, FromMs: g.FromMs, ToMs: g.ToMs, Text: strings.ToLower(printable(g.Kind)) + " was lost on its way to the server"})
		default:
			v.report.Findings = span(v.report.Findings, Finding{
				Kind: Missing, File: f.Name, FromMs: g.FromMs, ToMs: g.ToMs, Text: missingText(g),
			})
		}
	}
	r, have, closer, err := v.open(in)
	if errors.Is(err, fs.ErrNotExist) {
		f0 := Finding{Kind: Missing, File: f.Name, Timed: f.DurationMs > 0, ToMs: f.DurationMs, Text: "the file is gone"}
		v.report.Findings = append(v.report.Findings, f0)
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	sum, n, err := v.sum(r, offset, f.Size)
	if err != nil {
		return fmt.Errorf("verify %s: %w", f.Name, err)
	}
	before := len(v.report.Findings)
	if err := v.checkSegments(r, f, offset, n); err != nil {
		return err
	}
	bySecond := len(v.report.Findings) > before
	switch {
	case n < f.Size && !bySecond:
		v.report.find(Missing, f.Name, "%d of %d bytes are there; no second of media is touched: the index is cut", n, f.Size)
	case archive == "" && have > f.Size:
		v.report.find(Changed, f.Name, "%d bytes were added at the end", have-f.Size)
	case sum != f.SHA256 && !bySecond && len(f.Segments) > 0:
		v.report.find(Changed, f.Name, "the head or the index was changed; every second of media is as recorded")
	case sum != f.SHA256 && !bySecond:
		v.report.find(Changed, f.Name, "the bytes are not those that were recorded")
	}
	return nil
}

// missingText says why a stretch is not in its file.
func missingText(g Gap) string {
	why := printable(g.Cause)
	switch g.Cause {
	case CauseCrash:
		why = "the server ended: crash"
	case CauseDisk:
		why = "it could not be written: disk"
	case CauseWorker:
		why = "the composing process ended: worker"
	case CauseLoad:
		why = "the machine did not keep up: load"
	}
	return strings.ToLower(printable(g.Kind)) + " that was heard is not in the file (" + why + ")"
}

// checkSegments compares stretch by stretch. have is how many bytes of the file
// are there.
func (v *verifier) checkSegments(r io.ReaderAt, f File, offset, have int64) error {
	end := int64(-1)
	for _, s := range f.Segments {
		if end >= 0 && s.From != end {
			v.report.Notes = span(v.report.Notes, Finding{Kind: Uncovered, File: f.Name, FromMs: s.FromMs, ToMs: s.FromMs, Text: "a stretch before this has no hash of its own"})
		}
		end = s.To
		bad := Finding{Kind: Changed, File: f.Name, FromMs: s.FromMs, ToMs: s.ToMs, Text: "the bytes are not those that were recorded"}
		if s.To > have {
			bad.Kind, bad.Text = Missing, "the file is cut"
			v.report.Findings = span(v.report.Findings, bad)
			continue
		}
		sum, _, err := v.sum(r, offset+s.From, s.To-s.From)
		if err != nil {
			return fmt.Errorf("verify %s: %w", f.Name, err)
		}
		v.report.Segments++
		if sum != s.SHA256 {
			v.report.Findings = span(v.report.Findings, bad)
		}
	}
	return nil
}

// ctxReader ends a long read with its context.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c *ctxReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
