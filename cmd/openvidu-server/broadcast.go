package main

import (
	"context"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/broadcast"
)

// startBroadcasts starts what sends sessions out live. Recorded HLS lies below the
// recordings folder, which is one of the node's file roots.
func (s *server) startBroadcasts() error {
	o := broadcast.Options{
		Rooms: s.manager, Studios: broadcast.StudiosOf(s.studios), Log: s.log, PublicURL: s.cfg.PublicURL(s.port()),
	}
	recorders := []openvidu.Recorder{}
	if s.recordings != nil {
		dir, err := filepath.Abs(s.cfg.RecordingPath)
		if err != nil {
			return err
		}
		o.Dir = dir
		recorders = append(recorders, s.recordings)
	}
	s.broadcasts = broadcast.New(o)
	s.down.Add("broadcasts", func(context.Context) error { return s.broadcasts.Close() })
	// In the order of the events of a closing session; studios come last, because
	// the others are made of them.
	s.manager.SetRecorder(openvidu.Recorders(append(recorders, s.broadcasts, s.studios)...))
	return s.metrics.Register(broadcastCollector{s.broadcasts})
}

// broadcastCollector counts the broadcasts of the moment.
type broadcastCollector struct{ service *broadcast.Service }

var broadcastsDesc = prometheus.NewDesc("broadcasts", "Broadcasts in progress, by output and status.", []string{"output", "status"}, nil)

// Describe implements prometheus.Collector.
func (broadcastCollector) Describe(out chan<- *prometheus.Desc) { out <- broadcastsDesc }

// Collect implements prometheus.Collector.
func (c broadcastCollector) Collect(out chan<- prometheus.Metric) {
	type kind struct{ output, status string }
	counts := map[kind]int{}
	for _, output := range []string{broadcast.RTMP, broadcast.HLS} {
		for _, status := range []broadcast.Status{broadcast.Starting, broadcast.Connected, broadcast.Reconnecting} {
			counts[kind{output, string(status)}] = 0
		}
	}
	for _, b := range c.service.List() {
		counts[kind{b.Output, string(b.Status)}]++
	}
	for k, n := range counts {
		out <- prometheus.MustNewConstMetric(broadcastsDesc, prometheus.GaugeValue, float64(n), k.output, k.status)
	}
}
