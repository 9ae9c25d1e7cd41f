// Package cluster keeps the small facts that outlive a request and, with a
// shared store, a node: who owns a session, unused tokens, recordings. Packets
// and per-second statistics never go here.
//
// Memory is the store of one node. Its goroutines: none; a Watch runs on its
// caller's. What every store must do is written as tests in storetest.
package cluster

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Errors of every Store, found with errors.Is.
var (
	ErrNotFound = errors.New("key not found")
	ErrExists   = errors.New("key exists already")
	ErrConflict = errors.New("revision is stale")
	ErrClosed   = errors.New("store is closed")
)

// Revision orders the changes of a store: it grows with each change and is
// never 0 for an existing entry.
type Revision uint64

// Entry is one key at one revision. Deleted marks, in a Watch only, that the key
// is gone (deleted or expired); Value is nil then.
type Entry struct {
	Key      string
	Value    []byte
	Revision Revision
	Deleted  bool
}

// Store keeps small facts. All methods are safe for concurrent use; values are
// copied in and out.
type Store interface {
	// Get gives the entry, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// Create writes a key that does not exist, or gives ErrExists. After ttl the
	// entry is gone; 0 keeps it for ever.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (Revision, error)
	// Update replaces the value if the entry is still at revision last, else
	// ErrConflict (ErrNotFound when it is gone). The time to live starts anew.
	Update(ctx context.Context, key string, value []byte, last Revision) (Revision, error)
	// Delete removes the entry if it is still at revision last, else ErrConflict
	// (ErrNotFound when it is gone): of several deletes of one revision exactly
	// one succeeds, which makes it the way to use something once.
	Delete(ctx context.Context, key string, last Revision) error
	// Watch yields the existing entries of the prefix, then every later change in
	// order, until ctx ends or the consumer stops. A consumer that falls too far
	// behind gets one error and must watch anew.
	Watch(ctx context.Context, prefix string) iter.Seq2[Entry, error]
}
