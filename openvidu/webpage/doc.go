// Package webpage records web pages: custom layouts that are pages of their own
// (OpenVidu REST contract §8.1). It starts Chromium without a screen, lets it open
// the page, and has the tab captured by the browser itself: picture and sound
// leave the tab as WebRTC, enter a Director on the session's media node, and leave
// its one View, which recorders and broadcasts take like any composed picture.
// The view goes on at its rate whatever Chromium does, so that a browser that
// crashes, hangs or grows too large is replaced within the same file.
//
// The page joins the session with a secret of its own that is good once, as a
// recorder nobody sees; the server's secret never reaches it. All its connections
// but WebRTC go through a proxy in this process, which dials under the server's
// policy for addresses.
//
// A Service owns the proxy and every page; a page owns one process group, one
// folder for the browser's profile, and the goroutine that watches both. Close
// waits for all. Chromium is spoken to over two pipes, so that nobody else on the
// machine can.
package webpage
