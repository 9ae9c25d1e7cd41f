// Package sync measures picture against sound in what is recorded: a publisher
// sends flashes and beeps of the same instants, its two tracks delayed unlike,
// over a path that loses, jitters or breaks; the files are decoded, each flash is
// paired with its beep, and what lies between is written in a table and, into
// the folder that GOVIDU_SYNC_PLOTS names, drawn. It needs ffmpeg, Chromium, the
// server and the media worker (make build worker).
//
// As it is, one short run shows that all of it works, and judges no time. With
// GOVIDU_STRICT_TIMES=1, as make test-faults sets it, every case runs for 40 s and
// is held to what scoreboard and contract ask: without loss the median and the
// 95th percentile of the magnitude within 40 ms, with loss the median within 60 ms
// and the 95th percentile within 100 ms. Nothing else should run on the machine.
// GOVIDU_SYNC_SECONDS is another length, GOVIDU_SYNC_SEED another draw of losses;
// results of several runs in one folder of GOVIDU_SYNC_PLOTS become one table.
// docs/recording/sync.md shows it.
package sync
