//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync"

	"github.com/pion/webrtc/v4"
)

// naive forwards as most would write it first: a PeerConnection per peer, Pion's
// interceptors, a TrackLocalStaticRTP per track.
type naive struct {
	cert *webrtc.Certificate

	mu    sync.Mutex
	feeds []*feed
}

type feed struct {
	mu     sync.Mutex
	tracks []*webrtc.TrackLocalStaticRTP
}

// serveNaive runs until it is killed.
func serveNaive(args []string) error {
	set := flag.NewFlagSet("serve", flag.ExitOnError)
	listen := set.String("listen", loopback+":0", "address of the port that takes offers")
	_ = set.Parse(args) // exits by itself
	cert, err := newCertificate()
	if err != nil {
		return err
	}
	s := &naive{cert: cert}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /publish", s.answer(s.publisher))
	mux.HandleFunc("POST /subscribe", s.answer(s.viewer))
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.Handle("/debug/pprof/heap", pprof.Handler("heap"))
	return http.ListenAndServe(*listen, mux)
}

// answer makes a handler of what is to be done with a new peer before it answers.
func (s *naive) answer(prepare func(*http.Request, *webrtc.PeerConnection) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var offer webrtc.SessionDescription
		if err := json.NewDecoder(r.Body).Decode(&offer); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		set := settings("any")
		set.SetIPFilter(only(loopback))
		pc, err := newPeer(set, true, s.cert)
		if err == nil {
			pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
				if state == webrtc.PeerConnectionStateFailed {
					_ = pc.Close()
				}
			})
			if err = prepare(r, pc); err == nil {
				err = localAnswer(context.WithoutCancel(r.Context()), pc, offer.SDP)
			}
			if err == nil {
				err = json.NewEncoder(w).Encode(pc.LocalDescription())
			}
			if err != nil {
				err = errors.Join(err, pc.Close())
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}

func (s *naive) publisher(_ *http.Request, pc *webrtc.PeerConnection) error {
	f := &feed{}
	s.mu.Lock()
	s.feeds = append(s.feeds, f)
	s.mu.Unlock()
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		out, err := webrtc.NewTrackLocalStaticRTP(t.Codec().RTPCodecCapability, t.ID(), t.StreamID())
		if err != nil {
			return
		}
		f.mu.Lock()
		f.tracks = append(f.tracks, out)
		f.mu.Unlock()
		for buf := make([]byte, 1600); ; {
			n, _, err := t.Read(buf)
			if err != nil {
				return
			}
			_, _ = out.Write(buf[:n]) // some viewer has gone; the others go on
		}
	})
	return nil
}

func (s *naive) viewer(r *http.Request, pc *webrtc.PeerConnection) error {
	n, err := strconv.Atoi(r.URL.Query().Get("feed"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || n < 0 || n >= len(s.feeds) {
		return fmt.Errorf("no feed %q", r.URL.Query().Get("feed"))
	}
	f := s.feeds[n]
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.tracks {
		sender, err := pc.AddTrack(t)
		if err != nil {
			return err
		}
		go func() { // interceptors work while somebody reads
			for buf := make([]byte, 1600); ; {
				if _, _, err := sender.Read(buf); err != nil {
					return
				}
			}
		}()
	}
	return nil
}
