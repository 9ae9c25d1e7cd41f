package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the module's folder.
const root = "../.."

// list asks the go command about the packages below dir.
func list(dir string, args ...string) ([]Package, error) {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Imports,Deps,Standard,Module"}, args...)...)
	cmd.Dir = dir
	cgo := "CGO_ENABLED=0"
	if slices.Contains(args, "-tags=gst") {
		cgo = "CGO_ENABLED=1"
	}
	cmd.Env = append(os.Environ(), cgo)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New(stderr.String())
	}
	short := func(p string) string { return strings.TrimPrefix(p, Module+"/") }
	var list []Package
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath    string
			Imports, Deps []string
			Standard      bool
			Module        *struct{ Path string }
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		if p.Module == nil || p.Module.Path != Module {
			continue
		}
		q := Package{Path: short(p.ImportPath), Std: p.Standard}
		for _, i := range p.Imports {
			q.Imports = append(q.Imports, short(i))
		}
		for _, i := range p.Deps {
			q.Deps = append(q.Deps, short(i))
		}
		list = append(list, q)
	}
}

// ours lists the module's packages, once: as the servers are built, and those
// that only exist with GStreamer as workers are built. Listing needs no headers.
var ours = sync.OnceValues(func() ([]Package, error) {
	all, err := list(root, "./...")
	if err != nil {
		return nil, err
	}
	with, err := list(root, "-tags=gst", "./internal/gst/...", "./internal/mediaworker/...", "./cmd/mediaworker")
	if err != nil {
		return nil, err
	}
	gst := func(p Package) bool {
		return matches([]string{"internal/gst/...", "internal/mediaworker/...", "cmd/mediaworker"}, p.Path)
	}
	all = slices.DeleteFunc(all, gst)
	for _, p := range with {
		if gst(p) {
			all = append(all, p)
		}
	}
	return all, nil
})

// TestWorkersAreSeen: the rules about GStreamer would prove nothing if its
// packages were listed without their build tag.
func TestWorkersAreSeen(t *testing.T) {
	for _, p := range packages(t) {
		if p.Path == "internal/gst" && slices.Contains(p.Deps, "github.com/go-gst/go-gst/gst") {
			return
		}
	}
	t.Error("internal/gst is listed without go-gst")
}

func packages(t *testing.T) []Package {
	t.Helper()
	p, err := ours()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if len(p) < 10 {
		t.Fatalf("go list gives %d packages: the check would prove nothing", len(p))
	}
	return p
}

func TestImports(t *testing.T) {
	for _, sentence := range Check(packages(t), Rules) {
		t.Error(sentence)
	}
}

// TestEveryRuleBites plants, for each rule, an edge that it forbids.
func TestEveryRuleBites(t *testing.T) {
	first := func(pattern string) string { return strings.TrimSuffix(strings.TrimSuffix(pattern, "..."), "/") }
	for _, r := range Rules {
		of := first(r.Of[0])
		if of == "" {
			of = "pipeline"
		}
		if matches(r.But, of) {
			of += "/planted"
		}
		for _, never := range r.Never {
			planted := []Package{{Path: of, Imports: []string{first(never)}, Deps: []string{first(never)}}, {Path: first(never)}}
			if len(Check(planted, []Rule{r})) == 0 {
				t.Errorf("rule %q does not see %s importing %s", r.Why, of, first(never))
			}
			hidden := []Package{{Path: of, Imports: []string{"between"}, Deps: []string{"between", first(never)}}, {Path: "between"}}
			if len(Check(hidden, []Rule{{Of: r.Of, But: r.But, Never: r.Never}})) == 0 {
				t.Errorf("rule %q does not see %s reaching %s through another", r.Why, of, first(never))
			}
		}
		if r.Only != nil {
			planted := []Package{{Path: of, Imports: []string{"stranger"}}, {Path: "stranger"}}
			if len(Check(planted, []Rule{r})) == 0 {
				t.Errorf("rule %q does not see %s importing a package of ours that is not listed", r.Why, of)
			}
		}
	}
	if len(checkFamily(Package{Path: "elements/webrtc/transport", Deps: []string{"elements/uri"}})) == 0 {
		t.Error("one family importing another is not seen")
	}
	if got := Check([]Package{{Path: "pipeline", Imports: []string{"internal/codec"}, Deps: []string{"internal/codec"}}, {Path: "internal/codec"}}, Rules); len(got) != 0 {
		t.Errorf("an allowed edge is refused: %v", got)
	}
}

// TestAForbiddenImportFails adds a real forbidden import to a real package, in an
// overlay, and demands that the check finds it.
func TestAForbiddenImportFails(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"openvidu/planted.go", "package openvidu\n\nimport _ \"" + Module + "/pipeline\"\n", "openvidu imports pipeline"},
		{"kms/planted.go", "package kms\n\nimport _ \"" + Module + "/elements/uri\"\n", "kms reaches elements/uri"},
		{"pipeline/planted.go", "package pipeline\n\nimport _ \"github.com/pion/webrtc/v4\"\n", "pipeline reaches github.com/pion/webrtc/v4"},
	} {
		dir := t.TempDir()
		planted := filepath.Join(dir, "planted.go")
		if err := os.WriteFile(planted, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		target, err := filepath.Abs(filepath.Join(root, c.file))
		if err != nil {
			t.Fatal(err)
		}
		overlay, err := json.Marshal(map[string]map[string]string{"Replace": {target: planted}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "overlay.json")
		if err := os.WriteFile(path, overlay, 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := list(root, "-overlay="+path, "./"+filepath.Dir(c.file))
		if err != nil {
			t.Fatal(err)
		}
		if found := strings.Join(Check(all, Rules), "\n"); !strings.Contains(found, c.want) {
			t.Errorf("the import planted in %s is not found; the check says:\n%s", c.file, found)
		}
	}
}
