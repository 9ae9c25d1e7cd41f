//go:build unix

package recorder_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

// TestRecoverLeavesTheLivingAlone is two servers with one folder: what the first
// is writing is not an unfinished file of a dead process to the second.
func TestRecoverLeavesTheLivingAlone(t *testing.T) {
	dir := t.TempDir()
	f, err := recorder.Create(dir, "x.webm", recorder.Options{Expect: both(), ProcessID: "first", Epoch: time.Now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	units := muxtest.Units(t, vp8Opus)
	half := len(units) / 2
	write(t, f, units[:half])
	report, err := recorder.Recover(t.Context(), []string{dir}, recorder.RecoverOptions{ProcessID: "second"})
	if err != nil || report.Scanned != 1 || len(report.Files) != 0 {
		t.Errorf("recovery beside a living process: %+v, %v", report, err)
	}
	if _, err := recorder.Create(dir, "x.webm", recorder.Options{ProcessID: "second"}); err == nil {
		t.Error("a second process may take over the name of a file that is being written")
	}
	if m := manifestOf(t, dir, "x.webm"); m.Status != recorder.Recording || m.ProcessID != "first" {
		t.Errorf("sidecar of a living recording: %+v", m)
	}
	write(t, f, units[half:])
	m, err := f.Close()
	if err != nil || m.Status != recorder.Final {
		t.Fatalf("the recording ends as %s, %v", m.Status, err)
	}
	if again := manifestOf(t, dir, "x.webm"); again.SHA256 != m.SHA256 || again.Status != recorder.Final {
		t.Errorf("sidecar at the end: %+v, want %+v", again, m)
	}
}

// TestRecoverOverlappingRoots finds one file by two roots and finishes it once.
func TestRecoverOverlappingRoots(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	f, err := recorder.Create(in, "x.webm", recorder.Options{Expect: both(), Epoch: time.Now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, muxtest.Units(t, vp8Opus))
	if _, err := f.Close(); err != nil {
		t.Fatal(err)
	}
	sidecar := `{"schema":1,"file":"x.webm","container":"webm","status":"recording","processId":"dead"}`
	if err := errors.Join(os.Rename(filepath.Join(in, "x.webm"), filepath.Join(in, "x.webm.part")),
		os.WriteFile(filepath.Join(in, ".x.webm.manifest.json"), []byte(sidecar), 0o600)); err != nil {
		t.Fatal(err)
	}
	report, err := recorder.Recover(t.Context(), []string{dir, in}, recorder.RecoverOptions{})
	if err != nil || report.Scanned != 2 || len(report.Files) != 1 || report.Files[0].Err != nil {
		t.Errorf("recovery: %+v, %v", report, err)
	}
	if m := manifestOf(t, in, "x.webm"); m.Status != recorder.Recovered {
		t.Errorf("sidecar: %+v", m)
	}
}
