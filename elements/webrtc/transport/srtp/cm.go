package srtp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"hash"
)

const (
	cmTag    = 10
	cmSalt   = 14
	sha1Key  = 20
	cmKeyLen = 16
)

// cm is AES128_CM_HMAC_SHA1_80 (RFC 3711 §4.1.1 and §4.2.1): counter mode, and
// the first 80 bits of HMAC-SHA1 over packet and rollover counter.
type cm struct {
	rtp, rtcp cmKeys
	word      [4]byte // rollover counter for the hash, which would allocate a local
	sum       [sha1.Size]byte
}

// cmKeys are the session keys of RTP or of RTCP.
type cmKeys struct {
	stream keystream
	mac    hash.Hash
}

func newCM(masterKey, masterSalt []byte) (*cm, error) {
	c := &cm{}
	for _, s := range []struct {
		key, auth, salt byte
		to              *cmKeys
	}{{labelRTPKey, labelRTPAuth, labelRTPSalt, &c.rtp}, {labelRTCPKey, labelRTCPAuth, labelRTCPSalt, &c.rtcp}} {
		key, err := derive(masterKey, masterSalt, s.key, cmKeyLen)
		if err != nil {
			return nil, err
		}
		auth, err := derive(masterKey, masterSalt, s.auth, sha1Key)
		if err != nil {
			return nil, err
		}
		salt, err := derive(masterKey, masterSalt, s.salt, cmSalt)
		if err != nil {
			return nil, err
		}
		s.to.mac = hmac.New(sha1.New, auth)
		if err := s.to.stream.init(key, salt); err != nil {
			return nil, err
		}
	}
	c.rtp.stream.seek = true
	return c, nil
}

func (c *cm) overhead() int { return cmTag }

// tag authenticates packet and word.
func (c *cm) tag(mac hash.Hash, packet []byte, word uint32) []byte {
	mac.Reset()
	mac.Write(packet)
	binary.BigEndian.PutUint32(c.word[:], word)
	mac.Write(c.word[:])
	return mac.Sum(c.sum[:0])[:cmTag]
}

func (c *cm) seal(dst []byte, hdr int, plain []byte, id packetID) []byte {
	dst = dst[:hdr+len(plain)]
	c.rtp.stream.xor(dst[hdr:], plain, id.ssrc, uint64(id.roc)<<16|uint64(id.seq))
	return append(dst, c.tag(c.rtp.mac, dst, id.roc)...)
}

func (c *cm) open(packet []byte, hdr int, id packetID) ([]byte, bool) {
	n := len(packet) - cmTag
	if subtle.ConstantTimeCompare(c.tag(c.rtp.mac, packet[:n], id.roc), packet[n:]) != 1 {
		return nil, false
	}
	payload := packet[hdr:n]
	c.rtp.stream.xor(payload, payload, id.ssrc, uint64(id.roc)<<16|uint64(id.seq))
	return payload, true
}

// sealRTCP: encrypted compound, index word, tag (RFC 3711 §3.4). The tag covers
// the index word.
func (c *cm) sealRTCP(dst, compound []byte, index uint32) []byte {
	dst = dst[:len(compound)]
	copy(dst[:rtcpHeader], compound)
	c.rtcp.stream.xor(dst[rtcpHeader:], compound[rtcpHeader:], binary.BigEndian.Uint32(dst[4:]), uint64(index))
	tag := c.tag(c.rtcp.mac, dst, index|encrypted)
	dst = binary.BigEndian.AppendUint32(dst, index|encrypted)
	return append(dst, tag...)
}

// indexWord stands before the tag.
func (c *cm) indexWord(packet []byte) uint32 {
	return binary.BigEndian.Uint32(packet[len(packet)-indexLen-cmTag:])
}

func (c *cm) openRTCP(packet []byte, index uint32) ([]byte, bool) {
	n := len(packet) - indexLen - cmTag
	if subtle.ConstantTimeCompare(c.tag(c.rtcp.mac, packet[:n], index|encrypted), packet[n+indexLen:]) != 1 {
		return nil, false
	}
	body := packet[rtcpHeader:n]
	c.rtcp.stream.xor(body, body, binary.BigEndian.Uint32(packet[4:]), uint64(index))
	return packet[:n], true
}
