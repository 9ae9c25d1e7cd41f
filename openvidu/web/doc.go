// Package web serves the page at /: a call for two or more people on the npm
// package openvidu-browser, built by `make web` into dist and embedded here.
//
// Beside the files it holds the page's own small backend under /demo, which makes
// rooms, tokens and recordings without showing the server's secret. It is for
// developer mode and for who asks for it (--demo): everybody who reaches it may
// use it, but only in rooms of its own, whose session ids begin with "demo-".
//
// The package starts no goroutines. It knows the rules of rooms and recordings
// only through the two interfaces below.
package web
