package arch

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// tracked lists what git keeps, and what it would keep if it were added: the
// repository as others will see it. In a source archive without git it walks.
var tracked = sync.OnceValues(func() ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil {
		var there []string
		for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
			if _, err := os.Stat(filepath.Join(root, name)); err == nil {
				there = append(there, name)
			}
		}
		return there, nil
	}
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"node_modules", ".git", ".tools", "bin", "dist"}, d.Name()):
			return fs.SkipDir
		case !d.IsDir():
			names = append(names, strings.TrimPrefix(filepath.ToSlash(path), root+"/"))
		}
		return nil
	})
	return names, err
})

// files gives the repository's files whose names end in one of the suffixes.
func files(t *testing.T, suffixes ...string) []string {
	t.Helper()
	all, err := tracked()
	if err != nil {
		t.Fatal(err)
	}
	var some []string
	for _, name := range all {
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) }) {
			some = append(some, name)
		}
	}
	if len(some) == 0 {
		t.Fatalf("no file ends in %v: the check would prove nothing", suffixes)
	}
	return some
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, name string) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, read(t, name), parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return set, f
}

// TestPackageDocs: every package says what it is for.
func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, name := range files(t, ".go") {
		_, f := parse(t, name)
		dir := filepath.Dir(name)
		if strings.HasSuffix(f.Name.Name, "_test") {
			continue
		}
		want := "Package " + f.Name.Name + " "
		if f.Name.Name == "main" {
			want = "Command " + filepath.Base(dir) + " "
		}
		documented[dir] = documented[dir] || f.Doc != nil && strings.HasPrefix(f.Doc.Text(), want)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment (\"Package … \", \"Command … \")", dir)
		}
	}
}

// exported things carry a comment that begins with their name.
func TestExportedDocs(t *testing.T) {
	for _, name := range files(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set, f := parse(t, name)
		missing := func(id *ast.Ident, doc ...*ast.CommentGroup) {
			if id.IsExported() && !slices.ContainsFunc(doc, func(c *ast.CommentGroup) bool { return c != nil }) {
				t.Errorf("%s: %s has no comment", set.Position(id.Pos()), id.Name)
			}
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil || exportedReceiver(d) {
					missing(d.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						missing(s.Name, d.Doc, s.Doc)
					case *ast.ValueSpec:
						for _, id := range s.Names {
							missing(id, d.Doc, s.Doc, s.Comment)
						}
					}
				}
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	x := d.Recv.List[0].Type
	for {
		switch v := x.(type) {
		case *ast.StarExpr:
			x = v.X
		case *ast.IndexExpr:
			x = v.X
		case *ast.IndexListExpr:
			x = v.X
		case *ast.Ident:
			return v.IsExported()
		default:
			return false
		}
	}
}

// TestForbiddenCode: no init functions, no global logger or default mux, no
// math/rand where tokens are made, no sleeping in tests.
func TestForbiddenCode(t *testing.T) {
	for _, name := range files(t, ".go") {
		for _, found := range forbidden(name, read(t, name)) {
			t.Error(found)
		}
	}
}

// tokenPackages make values that grant something.
var tokenPackages = []string{"openvidu/...", "internal/secret", "internal/serve", "internal/turn", "kms/...", "internal/cluster"}

func forbidden(name string, text []byte) []string {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, text, 0)
	if err != nil {
		return []string{err.Error()}
	}
	test := strings.HasSuffix(name, "_test.go")
	var bad []string
	say := func(at token.Pos, text string) { bad = append(bad, fmt.Sprintf("%s: %s", set.Position(at), text)) }
	for _, i := range f.Imports {
		switch path, _ := strconv.Unquote(i.Path.Value); {
		case (path == "math/rand" || path == "math/rand/v2") && !test && matches(tokenPackages, filepath.ToSlash(filepath.Dir(name))):
			say(i.Pos(), path+" where tokens are made: use crypto/rand")
		case path == "log" && !test:
			say(i.Pos(), "the global logger: take a *slog.Logger")
		}
	}
	bubble := slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` })
	var loops []ast.Node
	polls := func(n ast.Node) bool {
		return slices.ContainsFunc(loops, func(l ast.Node) bool { return l.Pos() <= n.Pos() && n.End() <= l.End() })
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			loops = append(loops, n)
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				say(n.Pos(), "an init function: nobody can say what is linked")
			}
		case *ast.CallExpr:
			switch call(n) {
			case "time.Sleep":
				// Time is false in a synctest bubble, and a loop asks again.
				if test && !bubble && !polls(n) {
					say(n.Pos(), "a test sleeps: wait for a condition with a deadline, or use testing/synctest")
				}
			case "slog.Info", "slog.Warn", "slog.Error", "slog.Debug", "slog.Default", "slog.SetDefault":
				say(n.Pos(), "the global logger: take a *slog.Logger")
			case "http.HandleFunc", "http.Handle":
				say(n.Pos(), "the global mux: make one")
			}
		}
		return true
	})
	return bad
}

// call names a call of the form pkg.Func.
func call(c *ast.CallExpr) string {
	if s, ok := c.Fun.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
	}
	return ""
}

func TestForbiddenCodeIsSeen(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"a/a.go", "func init() {}"}, {"openvidu/auth/a.go", `import _ "math/rand"`}, {"openvidu/auth/a.go", `import _ "math/rand/v2"`},
		{"a/a.go", `import _ "log"`}, {"a/a.go", "type t struct{}; func init() { for {} }"}, {"a/a_test.go", "func f() { time.Sleep(1) }"}, {"a/a.go", `func f() { slog.Info("x") }`}, {"a/a.go", "func f() { http.Handle(a, b) }"},
	} {
		if len(forbidden(c.name, []byte("package a\n"+c.text+"\n"))) != 1 {
			t.Errorf("%s with %q is not refused once", c.name, c.text)
		}
	}
}

// TestMP4Muxing: GStreamer's mp4mux writes the index at the end, so that a crash
// loses the file; recordings are fragments.
func TestMP4Muxing(t *testing.T) {
	for _, name := range files(t, ".go") {
		if !strings.HasPrefix(name, "internal/arch/") && bytes.Contains(read(t, name), []byte("mp4mux")) {
			t.Errorf("%s uses mp4mux: recordings must survive a crash", name)
		}
	}
}

// TestWords keeps the repository about the product: nothing about who wrote it or
// on which machine, no package registry's host in a lock file.
func TestWords(t *testing.T) {
	all, err := tracked()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if strings.HasPrefix(name, "docs/img/") || strings.HasPrefix(name, "internal/arch/") || strings.HasSuffix(name, "LICENSE") {
			continue
		}
		for i, line := range bytes.Split(read(t, name), []byte("\n")) {
			if word := strangeWord(name, string(line)); word != "" {
				t.Errorf("%s:%d: %q does not belong in the repository", name, i+1, word)
			}
		}
	}
}

var (
	strange = regexp.MustCompile(`(^|[^\w.])/(root|work|home/\w+|Users/\w+)/\w`)
	hosts   = regexp.MustCompile(`"resolved":`)
)

func strangeWord(name, line string) string {
	if w := strange.FindString(line); w != "" {
		return w
	}
	if strings.HasSuffix(name, "package-lock.json") || strings.HasSuffix(name, ".npmrc") {
		return hosts.FindString(line)
	}
	return ""
}

func TestStrangeWordsAreSeen(t *testing.T) {
	for _, c := range []struct {
		name, line string
		bad        bool
	}{
		{"a.md", "see /home/ada/x", true}, {"a.md", "cd /root/x", true}, {"package-lock.json", `"resolved": "x"`, true},
		{"a.md", "docs/root/mainly", false}, {"a.ts", `"resolved": 1`, false},
	} {
		if got := strangeWord(c.name, c.line) != ""; got != c.bad {
			t.Errorf("%s %q: refused = %v, want %v", c.name, c.line, got, c.bad)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks: relative links in documents lead to files of the repository, and
// fragments to headings.
func TestLinks(t *testing.T) {
	for _, name := range files(t, ".md") {
		text := string(read(t, name))
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if why := brokenLink(name, m[1]); why != "" {
				t.Errorf("%s: link %s: %s", name, m[1], why)
			}
		}
	}
	if brokenLink("README.md", "docs/no-such-page.md") == "" || brokenLink("README.md", "LICENSE#none") == "" {
		t.Error("a broken link is not seen")
	}
}

func brokenLink(from, to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" {
		return ""
	}
	target := from
	if u.Path != "" {
		target = filepath.Join(filepath.Dir(from), u.Path)
	}
	b, err := os.ReadFile(filepath.Join(root, target))
	if info, statErr := os.Stat(filepath.Join(root, target)); statErr == nil && info.IsDir() {
		return ""
	}
	if err != nil {
		return "no such file"
	}
	if u.Fragment == "" {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") && slug(line) == u.Fragment {
			return ""
		}
	}
	return "no such heading"
}

// slug is a heading's anchor as code hosts make it.
func slug(heading string) string {
	heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "# ")))
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return -1
	}, heading)
}

// floors are the oldest versions that may be linked, with what older ones suffer
// from.
var floors = []struct{ module, version, why string }{
	{"github.com/pion/dtls/v3", "v3.1.4", "CVE-2026-54908, and nonce reuse before 3.1.1"},
	{"github.com/pion/ice/v4", "v4.1.0", "the STUN client of pion/webrtc 4.2"},
	{"github.com/nats-io/nats-server/v2", "v2.14.0", "fixes of the embedded server"},
	{"golang.org/x/net", "v0.38.0", "HTML and proxy fixes"},
}

// goFloor is the oldest toolchain.
const goFloor = "go1.26.8"

// TestDependencyFloors reads the versions out of a binary as it is linked.
func TestDependencyFloors(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "kms")
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/kms")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]string{}
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		linked[d.Path] = d.Version
	}
	if linked["github.com/pion/dtls/v3"] == "" {
		t.Fatal("the binary names no version of pion/dtls: the check would prove nothing")
	}
	for _, f := range floors {
		if v := linked[f.module]; v != "" && older(v, f.version) {
			t.Errorf("%s %s is older than %s (%s)", f.module, v, f.version, f.why)
		}
	}
	if older("v"+strings.TrimPrefix(runtime.Version(), "go"), "v"+strings.TrimPrefix(goFloor, "go")) {
		t.Errorf("built with %s, want %s or newer", runtime.Version(), goFloor)
	}
}

// older compares vMAJOR.MINOR.PATCH; what follows a dash counts as older.
func older(a, b string) bool {
	parts := func(v string) (n [3]int, pre bool) {
		v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "+")
		v, _, pre = strings.Cut(v, "-")
		for i, s := range strings.SplitN(v, ".", 3) {
			n[i], _ = strconv.Atoi(s)
		}
		return n, pre
	}
	x, xPre := parts(a)
	y, yPre := parts(b)
	if x != y {
		return slices.Compare(x[:], y[:]) < 0
	}
	return xPre && !yPre
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"v3.1.3", "v3.1.4", true}, {"v3.1.4", "v3.1.4", false}, {"v3.1.10", "v3.1.4", false}, {"v3.1.4-rc.1", "v3.1.4", true}, {"v4.0.0", "v3.9.9", false},
		{"v0.0.0-20200101000000-abcdef", "v0.1.0", true},
	} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("older(%s, %s) = %v", c.a, c.b, got)
		}
	}
}
