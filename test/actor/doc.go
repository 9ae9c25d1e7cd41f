// Package actor plays participants of calls for tests: each shows a clip of its
// own colour, number and tone, whose every picture carries a number that a machine
// can read, and all play by one wall clock. Where two of them are composed, the
// numbers in one picture tell how far they are apart.
//
// Goroutines: three per Sender, ended with its test.
package actor
