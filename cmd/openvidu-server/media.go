package main

import (
	"context"
	"log/slog"
	"os"
	"sync"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/kms"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/recorder"
)

var _ openvidu.MediaNodes = (*localMedia)(nil)

// localMedia places every session on the node inside this process, over a memory
// stream: rooms speak the Kurento protocol to it as they would to a remote one.
type localMedia struct {
	server *kms.Server

	mu      sync.Mutex // leaf
	session *client.Session
}

// Place implements openvidu.MediaNodes.
func (m *localMedia) Place(context.Context) (client.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session != nil {
		select {
		case <-m.session.Lost():
			_ = m.session.Close()
		default:
			return m.session, nil
		}
	}
	m.session = client.New(m.server.Pipe())
	return m.session, nil
}

// Close ends the client's session; its objects go with it.
func (m *localMedia) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == nil {
		return nil
	}
	return m.session.Close()
}

// recoverFiles finalises the media files that a dead process left below roots.
// Roots that do not exist are skipped; a file that cannot be finished is logged
// and keeps its bytes.
func recoverFiles(ctx context.Context, roots []string, log *slog.Logger) error {
	var there []string
	for _, r := range roots {
		if info, err := os.Stat(r); err == nil && info.IsDir() {
			there = append(there, r)
		}
	}
	report, err := recorder.Recover(ctx, there, recorder.RecoverOptions{Log: log})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		log.Warn("not every folder could be searched for unfinished files", obs.AttrErr, err)
	}
	for _, f := range report.Files {
		if f.Err != nil {
			log.Warn("unfinished file kept as it is", "file", f.Name, obs.AttrErr, f.Err)
		}
	}
	if n := len(report.Files); n > 0 {
		log.Info("unfinished files found", "files", n, "took", report.ScanTime)
	}
	return nil
}
