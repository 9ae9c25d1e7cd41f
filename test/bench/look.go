package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"time"
)

// A sample is looked at as a raster of this many fields.
const columns, rows = 8, 6

// raster is the mean colour of each field over a sample, RGB, 0 to 255.
type raster [columns * rows * 3]float64

// look averages the pictures of a sample.
func look(ctx context.Context, path, codec string) (out raster, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-f", container(codec), "-i", path, "-fps_mode", "passthrough",
		"-vf", fmt.Sprintf("scale=%d:%d:flags=area", columns, rows), "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
	cmd.Stderr = &said
	raw, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("look at %s: %w: %.300s", path, err, said.String())
	}
	n := len(raw) / len(out)
	if n == 0 {
		return out, fmt.Errorf("look at %s: no picture", path)
	}
	for i, v := range raw[:n*len(out)] {
		out[i%len(out)] += float64(v) / float64(n)
	}
	return out, nil
}

// container is the format of a sample's file.
func container(codec string) string {
	if codec == "H264" {
		return "h264"
	}
	return "ivf"
}

// apart is the largest difference between two rasters. Samples do not begin with
// the same picture, so that edges differ a little; an image that is not there, a
// picture that is not flipped or at another place differs by far more than alike.
func (a *raster) apart(b *raster) (worst float64) {
	for i := range a {
		worst = max(worst, a[i]-b[i], b[i]-a[i])
	}
	return worst
}

const alike = 40

// sameWork is an error when two samples do not show the same.
func sameWork(ctx context.Context, codec, ours, theirs string) error {
	a, err := look(ctx, ours, codec)
	if err != nil {
		return err
	}
	b, err := look(ctx, theirs, codec)
	if err != nil {
		return err
	}
	if d := a.apart(&b); d > alike {
		return fmt.Errorf("the two sides show different things: a field differs by %.0f of 255", d)
	}
	return nil
}
