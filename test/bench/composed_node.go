package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/govidu/govidu/kms/client"
)

// director is the media node and its worker.
type director struct {
	*node
	path string
	from []*net.UDPConn
	feed *feed
	rec  client.ID
}

func (d *director) file() string { return d.path }

func composeByNode(ctx context.Context, o options, dir string, g *grid) (_ composer, err error) {
	s := &scene{name: "director", work: directing}
	x, err := startNode(ctx, o, dir, s)
	if err != nil {
		return nil, err
	}
	d := &director{node: x.(*node), path: filepath.Join(dir, "director.mp4")}
	_ = os.Remove(d.path)
	defer func() {
		if err != nil {
			_ = d.close()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n := d.node
	pipe, err := n.session.Create(ctx, "MediaPipeline", nil)
	if err != nil {
		return nil, err
	}
	in := map[string]any{"mediaPipeline": pipe}
	hub, err := n.session.Create(ctx, "Director", in)
	if err != nil {
		return nil, err
	}
	n.worker = hub
	view, err := n.session.Create(ctx, "View", map[string]any{"director": hub, "width": composedWidth, "height": composedHeight, "framerate": composedFPS, "hasAudio": false,
		"videoBitrate": composedBitrate, "layout": map[string]any{"layout": "BEST_FIT", "names": false}})
	if err != nil {
		return nil, err
	}
	d.rec, err = n.session.Create(ctx, "RecorderEndpoint", map[string]any{"mediaPipeline": pipe, "uri": "file://" + d.path, "mediaProfile": "MP4_VIDEO_ONLY"})
	if err != nil {
		return nil, err
	}
	var to []inputPorts
	for i := range g.tiles {
		from, err := loopback()
		if err != nil {
			return nil, err
		}
		d.from = append(d.from, from)
		source, err := n.session.Create(ctx, "RtpEndpoint", in)
		if err != nil {
			return nil, err
		}
		ports, err := n.offer(ctx, source, description(portOf(from), 0, "VP8", 0, "sendonly"))
		if err != nil {
			return nil, err
		}
		to = append(to, ports)
		port, err := n.session.Create(ctx, "HubPort", map[string]any{"hub": hub})
		if err != nil {
			return nil, err
		}
		if err := n.session.Invoke(ctx, source, "connect", map[string]any{"sink": port}, nil); err != nil {
			return nil, err
		}
		about := map[string]any{"streamId": fmt.Sprint("s", i), "name": fmt.Sprint("Participant ", i)}
		if err := n.session.Invoke(ctx, hub, "describePort", map[string]any{"port": port, "source": about}, nil); err != nil {
			return nil, err
		}
	}
	if err := n.session.Invoke(ctx, view, "connect", map[string]any{"sink": d.rec}, nil); err != nil {
		return nil, err
	}
	if err := n.session.Invoke(ctx, d.rec, "record", nil, nil); err != nil {
		return nil, err
	}
	d.feed = feedRows(g.sources.rows(g.tiles, func(i int) func([]byte) { return toPort(d.from[i], to[i].video) }))
	return d, nil
}

// check fails when the sources came late: the node would have had less to do, or
// more at once.
func (d *director) check(context.Context) error {
	if late := d.feed.late(); late > 10*tooLate {
		return fmt.Errorf("the sources were %v late", late)
	}
	return nil
}

func (d *director) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if d.rec != "" {
		err = d.session.Invoke(ctx, d.rec, "stopAndWait", nil, nil)
	}
	if d.feed != nil {
		d.feed.stop()
	}
	for _, c := range d.from {
		c.Close()
	}
	if e := d.node.close(); err == nil {
		err = e
	}
	return err
}
