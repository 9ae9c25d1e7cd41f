// Package e2e holds the end-to-end tests: the real server binary, real Chromium
// with fake devices, and the unmodified OpenVidu clients that applications use.
// It has no code of its own outside its tests.
//
//	go test ./test/e2e/...                 the binary is ../../bin/openvidu-server
//	GOVIDU_BIN=/path/to/openvidu-server    another binary
//	GOVIDU_KILLS=20                        kill -9 rounds (default 2)
//	GOVIDU_SCREENSHOTS=1                   write docs/img from the page at /
//
// Every server runs in dev mode on free ports with folders of its own. A test
// never sleeps: it polls a condition until a deadline, which is ten times the
// figure that the condition is about. All processes started here die with the
// test, whatever way it ends.
package e2e
