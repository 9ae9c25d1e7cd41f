// Package recording decides when and what to record of a room, asks a media node
// to do it (RecorderEndpoint over kms/client), and turns what the node wrote into
// the contract's result: one folder per recording with `.recording.<id>` and, for
// INDIVIDUAL, a zip of one file per stream and a JSON of offsets.
//
// What is on disk is the truth: each status change is written atomically before
// it is told, finalising reads nothing but the folder, and Recover finishes at the
// next start whatever a dead process left. Composed
// recordings take a view of openvidu/studio and a recorder to one file; media bytes
// are written by the recorder of the media node.
//
// Service owns all goroutines: one that ticks, one per recording being finalised
// and one per timer that fired; Close waits for them. Specification: OpenVidu
// REST contract §7 and §8; robustness rules §4.
package recording
