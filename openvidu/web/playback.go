package web

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu/recording"
)

// item is a recording as the page shows it. Times are ms since 1970, sizes bytes.
type item struct {
	ID              string           `json:"id"`
	Name            string           `json:"name"`
	Room            string           `json:"room"`
	CreatedAt       int64            `json:"createdAt"`
	DurationSeconds float64          `json:"durationSeconds"`
	Size            int64            `json:"size"`
	Status          recording.Status `json:"status"`
	Zip             string           `json:"zip"`
	Streams         []stream         `json:"streams"`
}

// stream is one file in the zip.
type stream struct {
	StreamID   string `json:"streamId"`
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Screen     bool   `json:"screen"`
	URL        string `json:"url"`
	Type       string `json:"type"`
	DurationMs int64  `json:"durationMs"`
	Size       int64  `json:"size"`
}

// mediaTypes are those of the files in a zip, by name and by whether they hold
// pictures.
func mediaType(name string, video bool) string {
	kind := "audio"
	if video {
		kind = "video"
	}
	switch path.Ext(name) {
	case ".webm":
		return kind + "/webm"
	case ".mkv":
		return kind + "/x-matroska"
	case ".mp4":
		return kind + "/mp4"
	}
	return "application/octet-stream"
}

// contents is the JSON of the zip: the contract's index of files, offsets in ms.
type contents struct {
	Files []struct {
		Name            string `json:"name"`
		StreamID        string `json:"streamId"`
		Size            int64  `json:"size"`
		ClientData      string `json:"clientData"`
		HasVideo        bool   `json:"hasVideo"`
		TypeOfVideo     string `json:"typeOfVideo"`
		StartTimeOffset int64  `json:"startTimeOffset"`
		EndTimeOffset   int64  `json:"endTimeOffset"`
	} `json:"files"`
}

// maxIndex bounds the zip's JSON in bytes.
const maxIndex = 4 << 20

// archive is an open zip of a recording.
type archive struct {
	file recording.File
	zip  *zip.Reader
	contents
}

func (a *archive) Close() error { return a.file.Close() }

func (b *backend) open(rec recording.Recording) (*archive, error) {
	f, info, err := b.opts.Recordings.Open(rec.ID, rec.Name+".zip")
	if err != nil {
		return nil, err
	}
	a := &archive{file: f}
	if a.zip, err = zip.NewReader(f, info.Size()); err == nil {
		err = a.readIndex(rec.Name + ".json")
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read zip of recording: %w", err)
	}
	return a, nil
}

func (a *archive) readIndex(name string) error {
	f, err := a.zip.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewDecoder(io.LimitReader(f, maxIndex)).Decode(&a.contents)
}

// item describes a recording. A zip that cannot be read shows no streams; it can
// still be fetched whole.
func (b *backend) item(rec recording.Recording) item {
	base := "demo/recordings/" + url.PathEscape(rec.ID)
	it := item{
		ID: rec.ID, Name: strings.TrimPrefix(rec.Name, prefix), Room: strings.TrimPrefix(rec.SessionID, prefix), CreatedAt: rec.CreatedAt,
		DurationSeconds: rec.Duration, Size: rec.Size, Status: rec.Status, Zip: base, Streams: []stream{},
	}
	if rec.Status != recording.Ready {
		return it
	}
	a, err := b.open(rec)
	if err != nil {
		b.opts.Log.Warn("recording cannot be shown", obs.AttrRecording, rec.ID, obs.AttrErr, err)
		return it
	}
	defer a.Close()
	for _, f := range a.Files {
		kind := "audio"
		if f.HasVideo {
			kind = "video"
		}
		it.Streams = append(it.Streams, stream{
			StreamID: f.StreamID, Name: personIn(f.ClientData), Kind: kind, Screen: f.TypeOfVideo == "SCREEN",
			URL: base + "/" + url.PathEscape(f.Name), Type: mediaType(f.Name, f.HasVideo), DurationMs: f.EndTimeOffset - f.StartTimeOffset, Size: f.Size,
		})
	}
	return it
}

// personIn is the name in a connection's client data, as the page sends it.
func personIn(clientData string) string {
	var d struct {
		ClientData string `json:"clientData"`
	}
	if json.Unmarshal([]byte(clientData), &d) != nil {
		return ""
	}
	return d.ClientData
}

// serveZip serves the whole recording as a download.
func (b *backend) serveZip(w http.ResponseWriter, r *http.Request) {
	rec, ok := b.finished(w, r)
	if !ok {
		return
	}
	f, info, err := b.opts.Recordings.Open(rec.ID, rec.Name+".zip")
	if err != nil {
		refuse(w, http.StatusNotFound, "There is no such recording.")
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": rec.Name + ".zip"}))
	http.ServeContent(idleWriter{w, http.NewResponseController(w)}, r, "", info.ModTime(), f)
}

// serveStream serves one file out of the zip, with ranges, so that a player can
// seek. The zip stores its entries as they are, so a range of an entry is a range
// of the file.
func (b *backend) serveStream(w http.ResponseWriter, r *http.Request) {
	rec, ok := b.finished(w, r)
	if !ok {
		return
	}
	a, err := b.open(rec)
	if err != nil {
		b.opts.Log.Warn("recording cannot be played", obs.AttrRecording, rec.ID, obs.AttrErr, err)
		refuse(w, http.StatusNotFound, "This recording cannot be read.")
		return
	}
	defer a.Close()
	section, kind, err := a.section(r.PathValue("stream"))
	if err != nil {
		refuse(w, http.StatusNotFound, "There is no such stream in the recording.")
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	info, err := a.file.Stat()
	if err != nil {
		refuse(w, http.StatusNotFound, "This recording cannot be read.")
		return
	}
	http.ServeContent(idleWriter{w, http.NewResponseController(w)}, r, "", info.ModTime(), section)
}

// section finds the bytes of one listed entry, and their media type.
func (a *archive) section(name string) (*io.SectionReader, string, error) {
	for _, listed := range a.Files {
		if listed.Name != name {
			continue
		}
		for _, e := range a.zip.File {
			if e.Name != name {
				continue
			}
			if e.Method != zip.Store {
				return nil, "", errors.New("entry is compressed")
			}
			at, err := e.DataOffset()
			if err != nil {
				return nil, "", err
			}
			return io.NewSectionReader(a.file, at, int64(e.UncompressedSize64)), mediaType(name, listed.HasVideo), nil
		}
	}
	return nil, "", errors.New("no such entry")
}

// finished gives the recording a request names, when it is one of ours and ready.
func (b *backend) finished(w http.ResponseWriter, r *http.Request) (recording.Recording, bool) {
	if b.opts.Recordings != nil {
		rec, err := b.opts.Recordings.Get(r.PathValue("id"))
		if err == nil && mine(rec) && rec.Status == recording.Ready {
			return rec, true
		}
	}
	refuse(w, http.StatusNotFound, "There is no such recording.")
	return recording.Recording{}, false
}
