//go:build !race

package ice

const racing = false
