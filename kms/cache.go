package kms

import (
	"bytes"
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
// ids from 0 each. A repeated id with another text is a new request.
type cache struct {
	mu      sync.Mutex // leaf
	entries map[cacheKey]cacheEntry
	order   []cacheKey // oldest first
	bytes   int
}

type cacheEntry struct {
	method string
	params json.RawMessage
	reply  json.RawMessage
	at     time.Time
}

func (c *cache) get(key cacheKey, r *jsonrpc.Request, now time.Time) json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || now.Sub(e.at) > cacheTime || e.method != r.Method || !bytes.Equal(e.params, r.Params) {
		return nil
	}
	return e.reply
}

func (c *cache) put(key cacheKey, r *jsonrpc.Request, reply json.RawMessage, now time.Time) {
	size := len(reply) + len(r.Params)
	if size > cacheBytes/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[cacheKey]cacheEntry{}
	}
	if old, ok := c.entries[key]; ok {
		c.bytes -= len(old.reply) + len(old.params)
	} else {
		c.order = append(c.order, key)
	}
	c.entries[key] = cacheEntry{r.Method, r.Params, reply, now}
	c.bytes += size
	for len(c.order) > 0 {
		first := c.entries[c.order[0]]
		if len(c.order) <= cacheReplies && c.bytes <= cacheBytes && now.Sub(first.at) <= cacheTime {
			break
		}
		c.bytes -= len(first.reply) + len(first.params)
		delete(c.entries, c.order[0])
		c.order = c.order[1:]
	}
}
