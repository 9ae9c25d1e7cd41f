// Package rest is the HTTP door of the room server: the REST API of OpenVidu
// 2.32 under /openvidu/api, the recorded files under /openvidu/recordings, and
// the aliases of older lines. It decodes, checks and encodes; the rules of rooms
// belong to openvidu.Manager and those of recordings to recording.Service.
//
// The package starts no goroutines of its own: each request runs on net/http's.
// The server around the handler owns header limits and timeouts.
// Specification: the OpenVidu REST contract, sections 1 to 10 and 16.
package rest
