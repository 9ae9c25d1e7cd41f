// Package pipeline is the media graph: Pipelines of Elements whose Outputs push
// Packets to Inputs. It knows RTP packets and access units, but no network, no
// file, no protocol and no GStreamer.
//
// Goroutines: the package starts none per packet or per link. Push runs on the
// goroutine of the source; a receiver that is slow owns a bounded Queue and its
// own goroutine. Output may be pushed to from several goroutines at once.
//
// Lifetimes and lock order are in docs/closures.md and docs/locks.md.
package pipeline
