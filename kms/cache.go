package kms

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/jsonrpc"
)

// Bounds of the request cache of one connection.
const (
	cacheTime    = 20 * time.Second
	cacheReplies = 1000
	cacheBytes   = 4 << 20
)

type cacheKey struct{ session, id string }

// cache keeps replies for a while, so that a client's retry of a request does
// not run it twice. It belongs to one connection, because clients count their
// ids from 0 each. A repeated id with another text is a new request. What is
// too old goes by itself, so that a silent connection holds nothing.
type cache struct {
	mu      sync.Mutex // leaf
	entries map[cacheKey]cacheEntry
	order   []cacheKey // oldest first
	bytes   int
	timer   *time.Timer // of the oldest entry's end; nil when there is none
	closed  bool
}

type cacheEntry struct {
	request [sha256.Size]byte // digest: requests with descriptions of sessions are long
	reply   json.RawMessage
	at      time.Time
}

func digest(r *jsonrpc.Request) (d [sha256.Size]byte) {
	h := sha256.New()
	h.Write([]byte(r.Method))
	h.Write([]byte{0})
	h.Write(r.Params)
	h.Sum(d[:0])
	return d
}

func (c *cache) get(key cacheKey, r *jsonrpc.Request, now time.Time) json.RawMessage {
	c.mu.Lock()
	e, ok := c.entries[key]
	c.mu.Unlock()
	if !ok || now.Sub(e.at) > cacheTime || e.request != digest(r) {
		return nil
	}
	return e.reply
}

func (c *cache) put(key cacheKey, r *jsonrpc.Request, reply json.RawMessage, now time.Time) {
	if len(reply) > cacheBytes/4 {
		return
	}
	// The reply's own memory may be longer than it.
	e := cacheEntry{digest(r), bytes.Clone(reply), now}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.entries == nil {
		c.entries = map[cacheKey]cacheEntry{}
	}
	if old, ok := c.entries[key]; ok {
		c.bytes -= len(old.reply)
	} else {
		c.order = append(c.order, key)
	}
	c.entries[key] = e
	c.bytes += len(e.reply)
	c.trim(now)
	if c.timer == nil {
		c.timer = time.AfterFunc(cacheTime, c.expire)
	}
}

// trim keeps the bounds. The caller holds c.mu.
func (c *cache) trim(now time.Time) {
	for len(c.order) > 0 {
		first := c.entries[c.order[0]]
		if len(c.order) <= cacheReplies && c.bytes <= cacheBytes && now.Sub(first.at) < cacheTime {
			return
		}
		c.bytes -= len(first.reply)
		delete(c.entries, c.order[0])
		c.order = c.order[1:]
	}
	c.entries, c.order = nil, nil // maps do not shrink
}

// expire drops what is too old.
func (c *cache) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.trim(now)
	c.timer = nil
	if len(c.order) > 0 && !c.closed {
		c.timer = time.AfterFunc(cacheTime-now.Sub(c.entries[c.order[0]].at), c.expire)
	}
}

// close drops everything; nothing is kept any more.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.entries, c.order, c.bytes = nil, nil, 0
}
