// Package faults breaks a media node's parts under running calls: workers are
// killed and hung, graphs are built and released by the thousand, and what the
// others notice of it is measured; composed recordings of the whole server are
// wrecked, and what their files miss is compared with what `ovctl recording verify`
// names. It needs the media worker (make worker), the programs (make build) and
// ffmpeg; for small disks root.
//
// The figures of `make test-faults` are asserted with GOVIDU_STRICT_TIMES=1 on a
// machine that does nothing else; otherwise deadlines are ten times as long.
//
//	GOVIDU_CRASHES  workers killed by TestWorkerCrash (4)
//	GOVIDU_HANGS    workers stopped by TestWorkerHang (1; with strict times 8)
//	GOVIDU_CYCLES   rounds of TestCycles (6)
//	GOVIDU_LANES    rounds of TestCycles at the same time (2; of more than 100 rounds 4)
//	GOVIDU_RUNS     recordings wrecked by TestComposites (3; make test-faults RUNS=10)
//	GOVIDU_WAY      the one way to wreck them (all in turn)
//	GOVIDU_KEEP     folder for recordings of TestComposites that are not right
//	GOVIDU_RESULTS  file that gathers results of TestComposites for one table
//	GOVIDU_REPORT   folder for TestCycles' table and plot (the test's own)
package faults
