package transport

import (
	"slices"
	"strings"
	"testing"
)

// TestGroup reads simulcast by SSRC, and leaves alone what is none.
func TestGroup(t *testing.T) {
	const head = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
	const ssrcs = "a=ssrc-group:FID 10 11\r\na=ssrc-group:FID 20 21\r\na=ssrc-group:FID 30 31\r\n" +
		"a=ssrc:30 cname:x\r\na=ssrc:31 cname:x\r\na=ssrc:10 cname:x\r\na=ssrc:11 cname:x\r\na=ssrc:20 cname:x\r\na=ssrc:21 cname:x\r\n"
	for _, c := range []struct {
		sim      string
		layers   bool
		rids     int
		declared []uint32
	}{
		{"a=ssrc-group:SIM 10 20 30\r\n", true, 3, []uint32{10, 20, 30}},
		{"a=ssrc-group:SIM 10 20\r\n", true, 2, []uint32{10, 20}},
		{"a=ssrc-group:SIM 10 20 30\r\n", false, 0, []uint32{10}},
		{"a=ssrc-group:SIM 10\r\n", true, 0, []uint32{30, 10, 20}},
		{"a=ssrc-group:SIM 10 x\r\n", true, 0, []uint32{30, 10, 20}},
		{"a=ssrc-group:SIM 10 10\r\n", true, 0, []uint32{30, 10, 20}},
		{"a=ssrc-group:SIM \r\n", true, 0, []uint32{30, 10, 20}},
		{"", true, 0, []uint32{30, 10, 20}},
		{"a=ssrc-group:SIM 10 20 30 40\r\n", true, 3, []uint32{10, 20, 30}},
		{"a=rid:a send\r\na=rid:b send\r\na=simulcast:send a;b\r\na=ssrc-group:SIM 10 20 30\r\n", true, 2, []uint32{30, 10, 20}},
	} {
		d, err := parseSDP(head + c.sim + ssrcs)
		if err != nil {
			t.Fatal(err)
		}
		m := d.negotiate(d.sections[0], c.layers, false)
		if len(m.rids) != c.rids || !slices.Equal(m.declared, c.declared) || m.repair[31] != 30 {
			t.Errorf("%q: %v of %v", c.sim, m.rids, m.declared)
		}
		if named := len(m.named()) > 0; named != strings.HasPrefix(c.sim, "a=rid") {
			t.Errorf("%q is answered with %v", c.sim, m.named())
		}
	}
}
