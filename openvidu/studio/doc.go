// Package studio composes sessions: for each session that somebody records or
// broadcasts as one picture it keeps one Director on the session's media node,
// with a port per published stream, and lets any number of views look at it, each
// with a layout, a size and a mix of its own. Inputs are decoded once, however
// many views there are.
//
// A Service is also an openvidu.Recorder, by which ports follow the session:
// streams that are published join, unpublished ones leave, mutes turn a picture
// into a tile with the participant's name, and a reconnected publisher keeps its
// place. It speaks to media nodes through kms/client only.
//
// Each Director has a goroutine that changes its ports one after another; it ends
// with the last Studio of the session. Close waits for all. Specification:
// OpenVidu REST contract §7, §8.1 and §10.
package studio
