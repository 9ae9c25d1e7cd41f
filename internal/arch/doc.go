// Package arch holds the tests about the house itself: who may import whom,
// whether every package says what it is for, whether links in the documents lead
// somewhere, which words and calls stay out, which versions of dependencies are
// too old. It has no code that runs in a product, and starts no goroutines.
package arch
