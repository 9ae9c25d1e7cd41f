//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// result is one round of one server. Figures per packet are by packets that viewers
// received; in the load publish by those that the server did.
type result struct {
	Run        string  `json:"run"` // when the program started
	Machine    string  `json:"machine"`
	Load       string  `json:"load"`
	Round      int     `json:"round"`
	Server     string  `json:"server"`
	Publishers int     `json:"publishers"`
	Viewers    int     `json:"viewers"`
	SRTP       string  `json:"srtp"`
	Feedback   bool    `json:"feedback,omitempty"`
	Seconds    float64 `json:"seconds"`
	Sent       int64   `json:"sent"`      // by publishers
	Packets    int64   `json:"packets"`   // received
	Delivered  float64 `json:"delivered"` // part of what was due
	CPU        float64 `json:"cpuMicroseconds"`
	System     float64 `json:"systemMicroseconds"` // of it in the kernel
	Cores      float64 `json:"cores"`
	Switches   float64 `json:"contextSwitches"`
	P50        float64 `json:"p50Milliseconds"`
	P99        float64 `json:"p99Milliseconds"`
	Samples    int     `json:"samples"`
	RSSKB      float64 `json:"rssKilobytes"` // growth per stream that leaves; in the load publish per publisher
	BaseMB     float64 `json:"baseMegabytes"`
	Threads    int64   `json:"threads"`
	JoinMS     float64 `json:"joinMilliseconds"` // median
	Join99MS   float64 `json:"join99Milliseconds"`
	LoadCores  float64 `json:"loadCores"`  // of this program
	OtherCores float64 `json:"otherCores"` // of the rest of the machine

	baseKB int64
}

func (r result) String() string {
	return fmt.Sprintf("%-8s %-12s round %d: %6.2f µs (%.2f kernel), delivered %.4f, %.2f cores, %.3f switches, %.0f kB, p50 %.2f p99 %.1f ms, join %.0f ms; load %.2f, others %.2f cores",
		r.Load, r.Server, r.Round, r.CPU, r.System, r.Delivered, r.Cores, r.Switches, r.RSSKB, r.P50, r.P99, r.JoinMS, r.LoadCores, r.OtherCores)
}

// addResult adds a line to a file; "" is none.
func addResult(path string, r result) error {
	if path == "" {
		return nil
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

func readResults(path string) (all []result, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, n, err)
		}
		all = append(all, r)
	}
	return all, lines.Err()
}
