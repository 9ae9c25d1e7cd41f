package storage

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gocloud.dev/blob"
)

// Options configure an Uploader. Bucket, Dir and Log are required; zero values of
// the rest mean the default beside them, unless said otherwise.
type Options struct {
	// Bucket is closed by Close.
	Bucket *blob.Bucket
	// Prefix is put before every key: "" or a folder with its slash.
	Prefix string
	// Dir is the recordings folder: one folder per recording, named by its id.
	Dir string
	Log *slog.Logger
	// Metrics is where the uploader's figures are shown; nil: nowhere.
	Metrics prometheus.Registerer

	// Meta names the file that says that a recording in the bucket is whole, the last
	// of Finish. With it, recordings that the folder lacks are listed again when an
	// Uploader starts, by that file alone; nil leaves them.
	Meta func(id string) string

	// Keep is how long the local copy of media is kept once the bucket's is
	// verified; zero removes it at once, negative never.
	Keep time.Duration
	// Link is how long addresses given by Link are good; zero gives none.
	Link time.Duration

	ChunkBytes int64         // new bytes of a growing file worth a chunk, 5 MiB
	ChunkEvery time.Duration // or this long after the last one, 30 s
	Scan       time.Duration // between looks at growing files, 1 s
	Parallel   int           // uploads at once, of running and of final recordings each, 2
	MinBackoff time.Duration // first pause after a failure, 1 s; it doubles
	MaxBackoff time.Duration // 60 s
	OpTimeout  time.Duration // a small request, 30 s
	Stall      time.Duration // an upload or download that moves nothing, 5 min
	PartBytes  int64         // of an upload in parts; larger for very large files, 8 MiB
}

func (o *Options) setDefaults() {
	set := func(d *time.Duration, v time.Duration) { *d = cmp.Or(*d, v) }
	o.ChunkBytes = cmp.Or(o.ChunkBytes, 5<<20)
	o.PartBytes = cmp.Or(o.PartBytes, 8<<20)
	o.Parallel = cmp.Or(o.Parallel, 2)
	set(&o.ChunkEvery, 30*time.Second)
	set(&o.Scan, time.Second)
	set(&o.MinBackoff, time.Second)
	set(&o.MaxBackoff, time.Minute)
	set(&o.OpTimeout, 30*time.Second)
	set(&o.Stall, 5*time.Minute)
}
