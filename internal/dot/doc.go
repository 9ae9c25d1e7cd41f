// Package dot reads the Graphviz language as far as graphs of media elements use
// it, puts one graph into another, and draws a graph as SVG without Graphviz.
//
// It imports nothing of ours and starts no goroutines. Texts may come from another
// process: size, depth and count are bounded.
package dot
