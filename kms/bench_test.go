package kms_test

import (
	"context"
	"testing"

	"github.com/govidu/govidu/kms/client"
)

// BenchmarkInvoke is one getName over each stream; a join of a room makes about
// eight calls.
func BenchmarkInvoke(b *testing.B) {
	run := func(b *testing.B, c *client.Session) {
		defer c.Close()
		ctx := context.Background()
		pipe, err := c.Create(ctx, "MediaPipeline", nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Invoke(ctx, pipe, "getName", nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("memory", func(b *testing.B) { run(b, client.New(newServer(b, nil).Pipe())) })
	b.Run("websocket", func(b *testing.B) {
		c, err := client.Dial(context.Background(), overSocket(b, newServer(b, nil)), client.Options{})
		if err != nil {
			b.Fatal(err)
		}
		run(b, c)
	})
}

// BenchmarkCreate is create and release of a PassThrough, through the client.
func BenchmarkCreate(b *testing.B) {
	c := client.New(newServer(b, nil).Pipe())
	defer c.Close()
	ctx := context.Background()
	pipe, err := c.Create(ctx, "MediaPipeline", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		id, err := c.Create(ctx, "PassThrough", map[string]any{"mediaPipeline": pipe})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Release(ctx, id); err != nil {
			b.Fatal(err)
		}
	}
}
