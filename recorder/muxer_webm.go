package recorder

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// A file of ours begins with areas of fixed size that are rewritten in place:
//
//	EBML header | Segment (size unknown until Close) | SeekHead area | Info | Tracks area | Cluster … | Cues
//
// so that a late track, the duration and the index need no copy of the file.
const (
	seekHeadArea = 160
	infoArea     = 160
	tracksArea   = 8192
	// durationArea is a Duration element with 8 bytes; a Void until known.
	durationArea = 11

	appName = "Govidu"
)

type webm struct {
	m       Media
	doc     Container
	created time.Time
	tracks  []pipeline.Format
	header  bool  // written
	end     int64 // of what is in the file
	buf     []byte
	cluster int64 // offset of the open cluster, -1 when none
	start   int64 // its timestamp, ms
	sum     Summary
}

func newWebM(doc Container, m Media, created time.Time) *webm {
	return &webm{m: m, doc: doc, created: created, cluster: -1}
}

func ebmlHeader(doc Container) []byte {
	docType := "webm"
	if doc == Matroska {
		docType = "matroska"
	}
	return element(idEBML, uintElement(0x4286, 1), uintElement(0x42F7, 1), uintElement(0x42F2, 4), uintElement(0x42F3, 8),
		stringElement(0x4282, docType), uintElement(0x4287, 4), uintElement(0x4285, 2))
}

// webmLayout gives the offsets of the fixed areas, after an EBML header of n bytes.
type webmLayout struct{ segmentSize, segment, seekHead, info, duration, tracks, clusters int64 }

func layoutWebM(ebmlLen int) (l webmLayout) {
	l.segmentSize = int64(ebmlLen) + 4
	l.segment = l.segmentSize + 8
	l.seekHead = l.segment
	l.info = l.seekHead + seekHeadArea
	l.duration = l.info + 4 + 2 // Info's id and its 2-byte size
	l.tracks = l.info + infoArea
	l.clusters = l.tracks + tracksArea
	return l
}

// infoElement is Info, filling its area. Its first child is the Duration, or a
// Void of the same length while it is unknown.
func infoElement(created time.Time) []byte {
	// RFC 9559 §5.1.2.11: nanoseconds since the beginning of 2001, UTC.
	since := created.Sub(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))
	body := void(durationArea)
	body = append(body, uintElement(idTimestampUnit, 1_000_000)...)
	body = append(body, element(idDateUTC, binary.BigEndian.AppendUint64(nil, uint64(since.Nanoseconds())))...)
	body = append(body, stringElement(idMuxingApp, appName)...)
	body = append(body, stringElement(idWritingApp, appName)...)
	body, _ = padded(body, infoArea-6)
	return append(append(appendID(nil, idInfo), 0x40|byte(len(body)>>8), byte(len(body))), body...)
}

// AddTrack implements Muxer.
func (w *webm) AddTrack(f pipeline.Format) (int, error) {
	if !w.doc.Takes(&f) {
		return 0, fmt.Errorf("add track %s to %s: %w", f.Codec, w.doc, ErrFormat)
	}
	tracks, ok := tracksElement(append(w.tracks, f))
	if !ok {
		return 0, fmt.Errorf("add track %s: its configuration is too long", f.Codec)
	}
	l := layoutWebM(len(ebmlHeader(w.doc)))
	if w.header {
		if _, err := w.m.WriteAt(tracks, l.tracks); err != nil {
			return 0, fmt.Errorf("write tracks: %w", err)
		}
	} else {
		head := ebmlHeader(w.doc)
		head = append(appendID(head, idSegment), unknownSize...)
		head = append(head, void(seekHeadArea)...)
		head = append(head, infoElement(w.created)...)
		head = append(head, tracks...)
		if _, err := w.m.WriteAt(head, 0); err != nil {
			return 0, fmt.Errorf("write header: %w", err)
		}
		w.header, w.end = true, int64(len(head))
	}
	w.tracks = append(w.tracks, f)
	return len(w.tracks) - 1, nil
}

func tracksElement(tracks []pipeline.Format) ([]byte, bool) {
	var body []byte
	for i, f := range tracks {
		body = append(body, trackEntry(uint64(i)+1, f)...)
	}
	return padded(element(idTracks, body), tracksArea)
}

func trackEntry(number uint64, f pipeline.Format) []byte {
	fields := [][]byte{uintElement(idTrackNumber, number), uintElement(idTrackUID, number), uintElement(idFlagLacing, 0)}
	id, private := webmCodec(f)
	fields = append(fields, stringElement(idCodecID, id))
	if private != nil {
		fields = append(fields, element(idCodecPrivate, private))
	}
	if f.Kind == pipeline.Video {
		fields = append(fields, uintElement(idTrackType, 1),
			element(idVideo, uintElement(idPixelWidth, uint64(f.Width)), uintElement(idPixelHeight, uint64(f.Height))))
		return element(idTrackEntry, fields...)
	}
	if f.Codec == codec.Opus {
		// RFC 7845 §4.6: a decoder needs 80 ms to converge after a seek.
		fields = append(fields, uintElement(idCodecDelay, 0), uintElement(idSeekPreRoll, 80_000_000))
	}
	fields = append(fields, uintElement(idTrackType, 2), element(idAudio,
		floatElement(idSamplingRate, float64(f.ClockRate)), uintElement(idChannels, uint64(f.Channels))))
	return element(idTrackEntry, fields...)
}

// webmCodec maps to Matroska's codec ids (Matroska codec specifications §6).
func webmCodec(f pipeline.Format) (id string, private []byte) {
	switch f.Codec {
	case codec.VP8:
		return "V_VP8", nil
	case codec.VP9:
		return "V_VP9", nil
	case codec.AV1:
		return "V_AV1", f.Config
	case codec.H264:
		return "V_MPEG4/ISO/AVC", f.Config
	case codec.Opus:
		return "A_OPUS", f.Config
	case codec.AAC:
		return "A_AAC", f.Config
	case codec.PCMU:
		return "A_MS/ACM", waveFormat(7, f)
	case codec.PCMA:
		return "A_MS/ACM", waveFormat(6, f)
	}
	return "", nil
}

var webmCodecs = map[string]codec.Name{
	"V_VP8": codec.VP8, "V_VP9": codec.VP9, "V_AV1": codec.AV1, "V_MPEG4/ISO/AVC": codec.H264, "A_OPUS": codec.Opus, "A_AAC": codec.AAC,
}

// waveFormat is a WAVEFORMATEX of 8-bit samples (RFC 2361).
func waveFormat(tag uint16, f pipeline.Format) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, tag)
	b = le.AppendUint16(b, f.Channels)
	b = le.AppendUint32(b, f.ClockRate)
	b = le.AppendUint32(b, f.ClockRate*uint32(f.Channels))
	b = le.AppendUint16(b, f.Channels)
	b = le.AppendUint16(b, 8)
	return le.AppendUint16(b, 0)
}

// Write implements Muxer: a cluster begins at each video keyframe and after a second.
func (w *webm) Write(track int, au *pipeline.Packet) error {
	if track < 0 || track >= len(w.tracks) {
		return fmt.Errorf("write to track %d of %d: %w", track, len(w.tracks), ErrFormat)
	}
	f := &w.tracks[track]
	ms := au.PTS.Milliseconds()
	rel := ms - w.start
	if w.cluster < 0 || rel >= fragmentLength.Milliseconds() || rel < -30000 || f.Kind == pipeline.Video && au.Key {
		if err := w.closeCluster(); err != nil {
			return err
		}
		w.cluster, w.start, rel = w.end, ms, 0
		w.buf = append(appendID(w.buf, idCluster), unknownSize...)
		w.buf = append(w.buf, uintElement(idTimestamp, uint64(max(ms, 0)))...)
	}
	flags := byte(0)
	if au.Key || f.Kind == pipeline.Audio {
		flags = 0x80
	}
	payload := au.Payload
	switch f.Codec {
	case codec.H264:
		payload = codec.AVCC(payload)
	case codec.AAC:
		payload = bareAAC(payload)
	}
	w.buf = appendElement(w.buf, idSimpleBlock, []byte{0x81 + byte(track), byte(rel >> 8), byte(rel), flags}, payload)
	return nil
}

// closeCluster ends the open cluster: its size is known now.
func (w *webm) closeCluster() error {
	if w.cluster < 0 {
		return nil
	}
	if err := w.Flush(); err != nil {
		return err
	}
	at := w.cluster
	w.cluster = -1
	if _, err := w.m.WriteAt(size8(w.end-at-12), at+4); err != nil {
		return fmt.Errorf("write cluster size: %w", err)
	}
	return nil
}

// Flush implements Muxer.
func (w *webm) Flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	n, err := w.m.WriteAt(w.buf, w.end)
	if err != nil {
		return fmt.Errorf("write media: %w", err)
	}
	w.end += int64(n)
	w.buf = w.buf[:0]
	return nil
}

// Close implements Muxer.
func (w *webm) Close() error {
	flushed := w.closeCluster()
	var err error
	if w.sum, err = finaliseWebM(w.m, w.end); err != nil {
		return err
	}
	return flushed
}

func (w *webm) summary() Summary { return w.sum }
