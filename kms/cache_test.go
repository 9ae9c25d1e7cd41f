package kms

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/internal/jsonrpc"
)

// TestCacheIsBounded: in number, in bytes and in time, also of a connection that
// has fallen silent.
func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cache
		request := func(n int) (cacheKey, *jsonrpc.Request) {
			return cacheKey{"s", fmt.Sprint(n)}, &jsonrpc.Request{Method: "create", Params: fmt.Appendf(nil, `{"n":%d}`, n)}
		}
		for n := range 2 * cacheReplies {
			key, r := request(n)
			c.put(key, r, []byte("true"), time.Now())
		}
		holds := func(replies, size int) {
			t.Helper()
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.entries) != replies || len(c.order) != replies || c.bytes != size || (c.timer != nil) != (replies > 0) {
				t.Errorf("%d replies of %d bytes are kept (%d in order, timer %v), want %d of %d", len(c.entries), c.bytes, len(c.order), c.timer != nil, replies, size)
			}
		}
		holds(cacheReplies, 4*cacheReplies)
		for n, want := range map[int]string{0: "", cacheReplies - 1: "", cacheReplies: "true", 2*cacheReplies - 1: "true"} {
			if key, r := request(n); string(c.get(key, r, time.Now())) != want {
				t.Errorf("request %d is answered with %q", n, c.get(key, r, time.Now()))
			}
		}
		key, _ := request(2*cacheReplies - 1)
		for _, other := range []*jsonrpc.Request{{Method: "create", Params: []byte(`{}`)}, {Method: "release", Params: []byte(`{"n":1999}`)}} {
			if c.get(key, other, time.Now()) != nil {
				t.Errorf("%s %s is taken for another", other.Method, other.Params)
			}
		}
		time.Sleep(cacheTime / 2)
		big := make([]byte, cacheBytes/4)
		for n := range 8 {
			key, r := request(n)
			c.put(key, r, big, time.Now())
		}
		holds(4, cacheBytes)
		key, r := request(100)
		c.put(key, r, make([]byte, cacheBytes/4+1), time.Now())
		time.Sleep(cacheTime - time.Nanosecond)
		synctest.Wait()
		holds(4, cacheBytes)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		holds(0, 0)
		c.put(key, r, []byte("true"), time.Now())
		c.close()
		c.put(key, r, []byte("true"), time.Now())
		if c.get(key, r, time.Now()) != nil {
			t.Error("a closed connection keeps a reply")
		}
	})
}
