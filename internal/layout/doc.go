// Package layout places the pictures of a call's participants on a canvas: the
// layouts of OpenVidu's composed recordings, and custom ones that a small JSON
// document describes (Spec). It is arithmetic alone: what is shown by whom is
// decided by its callers, and pixels are moved elsewhere.
//
// It starts no goroutines. Specification: OpenVidu REST contract §7 and §8.1.
package layout
