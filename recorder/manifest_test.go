package recorder_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/govidu/govidu/recorder"
)

func TestScanOfAThousand(t *testing.T) {
	dir := t.TempDir()
	for i := range 1000 {
		name := fmt.Sprintf("s%d/x%d.webm", i/10, i)
		sidecar := filepath.Join(dir, recorder.ManifestName(name))
		if err := os.MkdirAll(filepath.Dir(sidecar), 0o700); err != nil {
			t.Fatal(err)
		}
		b := fmt.Sprintf(`{"schema":1,"file":"x%d.webm","container":"webm","status":"final","processId":"dead"}`, i)
		if err := os.WriteFile(sidecar, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report, err := recorder.Recover(context.Background(), []string{dir}, recorder.RecoverOptions{})
	if err != nil || report.Scanned != 1000 || len(report.Files) != 0 {
		t.Fatalf("report %+v: %v", report, err)
	}
	if report.ScanTime > 5*time.Second {
		t.Errorf("1000 sidecars take %v, want 5 s at most", report.ScanTime)
	}
}

func TestRecoverIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := recorder.Recover(ctx, []string{t.TempDir()}, recorder.RecoverOptions{}); err == nil {
		t.Error("no error of a context that has ended")
	}
}

func FuzzRecordingMeta(f *testing.F) {
	f.Add([]byte(`{"schema":1,"file":"x.webm","container":"webm","status":"recording","processId":"p","startTime":1,"tracks":[{"kind":"VIDEO","codec":"VP8"}],"gaps":[{"kind":"AUDIO","fromMs":1,"toMs":2}]}`))
	f.Add([]byte(`{"schema":1,"file":"../x.webm","container":"mp4","status":"final"}`))
	f.Add([]byte(`{"schema":2}`))
	f.Add([]byte(`{"schema":1,"fi`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := recorder.ParseManifest(b)
		if err != nil {
			return
		}
		if m.File != filepath.Base(m.File) || m.File == ".." {
			t.Fatalf("file %q is no bare name", m.File)
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := recorder.ParseManifest(out)
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v does not survive writing and reading: %v", m, err)
		}
	})
}
