package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/govidu/govidu/internal/proof"
)

// exitError ends the program with another code than 1.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// cannotTell is the exit code of a verification that could not be made.
const cannotTell = 2

// recordingFolder finds a recording on this machine.
type recordingFolder struct {
	Recording string `arg:"" help:"The recording's folder, or its id: a folder of that name below --dir."`
	Dir       string `env:"OPENVIDU_RECORDING_PATH" default:"/opt/openvidu/recordings" placeholder:"DIR" help:"Where recordings are kept."`
}

func (c recordingFolder) path() (string, error) {
	for _, at := range []string{c.Recording, filepath.Join(c.Dir, c.Recording)} {
		if st, err := os.Stat(at); err == nil && st.IsDir() {
			return at, nil
		}
	}
	return "", fmt.Errorf("%s is no folder here, nor in %s: verify and align work on the files (ovctl recording verify FOLDER)", c.Recording, c.Dir)
}

type recordingVerify struct {
	recordingFolder
	Key []string `sep:"none" placeholder:"FILE" help:"Public key to trust (PEM file, or folder of them). Without it the server is asked for its keys."`
}

// Help says what the codes mean.
func (recordingVerify) Help() string {
	return "Ends with 0 when the recording is true, 1 when something is missing or was changed, 2 when that cannot be told."
}

func (c recordingVerify) Run(e *env) error {
	at, err := c.path()
	if err != nil {
		return &exitError{cannotTell, err}
	}
	if m := metadataIn(at); m.Schema != 0 && m.Status != "ready" && m.Status != "failed" {
		return &exitError{cannotTell, fmt.Errorf("%s is not final: its status is %s", at, m.Status)}
	}
	if err := movedAway(at); err != nil {
		return &exitError{cannotTell, err}
	}
	keys, err := c.keys(e)
	if err != nil {
		return &exitError{cannotTell, err}
	}
	// A root: a link in the folder leads to no file outside of it.
	root, err := os.OpenRoot(at)
	if err != nil {
		return &exitError{cannotTell, err}
	}
	defer root.Close()
	report, err := proof.Verify(e.ctx, root.FS(), keys)
	if errors.Is(err, proof.ErrNoProof) {
		return &exitError{cannotTell, withoutProof(at)}
	}
	if err != nil {
		return &exitError{cannotTell, err}
	}
	if e.json {
		if err := json.NewEncoder(e.out).Encode(report); err != nil {
			return err
		}
	} else {
		show(e, report)
	}
	if !report.True {
		return fmt.Errorf("recording %s is not true: %d findings", report.ID, len(report.Findings))
	}
	return nil
}

func show(e *env, r proof.Report) {
	for _, f := range r.Findings {
		e.say("%s", f)
	}
	for _, f := range r.Notes {
		e.say("note: %s", f)
	}
	if r.True {
		recovered := ""
		if r.Recovered {
			recovered = ", finished after a crash"
		}
		e.say("true: %d files, %d stretches compared, signed %s with key %s%s", r.Files, r.Segments, when(r.SignedAt), r.Key, recovered)
	}
}

// recordingMetadata is what tells whether a recording can be verified.
type recordingMetadata struct {
	Schema int    `json:"schema"` // 0: another server's
	Status string `json:"status"`
}

// metadataIn reads the metadata of the recording in a folder; zero when there is none.
func metadataIn(at string) (m recordingMetadata) {
	found, _ := filepath.Glob(filepath.Join(at, ".recording.*"))
	for _, name := range found {
		if b, err := os.ReadFile(name); err == nil && !strings.HasSuffix(name, ".tmp") && json.Unmarshal(b, &m) == nil && m.Status != "" {
			return m
		}
	}
	return recordingMetadata{}
}

// withoutProof says why a folder cannot be verified.
func withoutProof(at string) error {
	switch m := metadataIn(at); {
	case m.Status == "":
		return fmt.Errorf("%s holds no recording of Govidu", at)
	case m.Schema == 0:
		return fmt.Errorf("%s was made by another server, which signs nothing", at)
	default:
		return fmt.Errorf("%s has neither log nor manifest (status %s): they were removed, or no media was recorded", at, m.Status)
	}
}

func (c recordingVerify) keys(e *env) ([]proof.PublicKey, error) {
	var keys []proof.PublicKey
	for _, name := range c.Key {
		list, err := readKeys(name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, list...)
	}
	if len(c.Key) > 0 {
		return keys, nil
	}
	keys, err := serverKeys(e)
	if err != nil {
		fmt.Fprintf(os.Stderr, "ovctl: no --key, and the server cannot be asked for its keys: %v\n", err)
	}
	return keys, nil
}

func readKeys(name string) ([]proof.PublicKey, error) {
	st, err := os.Stat(name)
	if err == nil && st.IsDir() {
		return proof.ReadPublicKeys(name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	list, err := proof.ParsePublicKeys(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

func serverKeys(e *env) ([]proof.PublicKey, error) {
	var list struct{ Items []struct{ PEM string } }
	if err := e.client.api(e.ctx, http.MethodGet, "/recording-keys", nil, &list); err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, k := range list.Items {
		text.WriteString(k.PEM)
	}
	if text.Len() == 0 {
		return nil, errors.New("it has none")
	}
	return proof.ParsePublicKeys([]byte(text.String()))
}

type recordingKey struct {
	StateDir string `env:"GOVIDU_STATE_DIR" placeholder:"DIR" help:"Read the keys from this server's state folder instead of asking the server."`
	Rotate   bool   `help:"Make a new signing key (needs --state-dir); the server uses it from its next start. Earlier public keys stay valid."`
}

func (c recordingKey) Run(e *env) error {
	var keys []proof.PublicKey
	var err error
	dir := filepath.Join(c.StateDir, "recording-keys")
	switch {
	case c.Rotate && c.StateDir == "":
		return errors.New("a key is rotated on the server's machine: give --state-dir")
	case c.Rotate:
		var k proof.PublicKey
		k, err = proof.Rotate(dir)
		keys = []proof.PublicKey{k}
	case c.StateDir != "":
		if keys, err = proof.ReadPublicKeys(dir); err == nil && len(keys) == 0 {
			err = fmt.Errorf("no keys in %s: %w", dir, fs.ErrNotExist)
		}
	default:
		keys, err = serverKeys(e)
	}
	if err != nil {
		return err
	}
	if e.json {
		var list []map[string]string
		for _, k := range keys {
			list = append(list, map[string]string{"id": k.ID, "pem": string(k.PEM())})
		}
		return json.NewEncoder(e.out).Encode(list)
	}
	for _, k := range keys {
		e.say("# key %s\n%s", k.ID, cmp.Or(strings.TrimSpace(string(k.PEM())), "-"))
	}
	return nil
}
