// Package proof makes recordings checkable by somebody who trusts neither the disk
// nor us: a log of JSON lines, each with the SHA-256 of the one before; Ed25519
// signatures (RFC 8032) over its head; a manifest that gives every recorded second
// its bytes and their hash; and Verify, which says that all is as it was, or names
// the files and seconds that are not.
//
// A line is canonical JSON, the very bytes that `jq -cS .` prints, so that jq,
// sha256sum and openssl are enough to follow it: docs/recording-proof.md shows how.
//
// It leaves to others what is recorded (recorder), when it is signed
// (openvidu/recording) and who may read keys. It starts no goroutines.
package proof
