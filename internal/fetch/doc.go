// Package fetch opens the URIs that callers name: files below folders that were
// set aside for it, and http, https or any other address after a check of where
// it leads. Whoever reads or writes something for a caller goes through a
// Policy; nothing else in the process opens a caller's text.
//
// A file is opened inside an os.Root, so neither ".." nor a symbolic link leads
// out. A network name is resolved once, each address is checked, and the checked
// address is dialled, so that a second answer of the name server changes
// nothing; every redirect goes the same way. Errors carry no credentials and no
// query of the URL.
//
// The package starts no goroutines of its own; connections are not kept alive.
package fetch
