package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"reflect"
	"unsafe"
)

const (
	gcmTag   = 16
	gcmNonce = 12
)

// gcm is AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714). Nonce and associated
// data are fields because what goes through an interface would be allocated.
type gcm struct {
	rtp, rtcp         cipher.AEAD
	saltRTP, saltRTCP [gcmNonce]byte
	iv                [gcmNonce]byte
	aad               [rtcpHeader + indexLen]byte
}

func newGCM(masterKey, masterSalt []byte) (*gcm, error) {
	g := &gcm{}
	for _, s := range []struct {
		key, salt byte
		aead      *cipher.AEAD
		to        *[gcmNonce]byte
	}{{labelRTPKey, labelRTPSalt, &g.rtp, &g.saltRTP}, {labelRTCPKey, labelRTCPSalt, &g.rtcp, &g.saltRTCP}} {
		key, err := derive(masterKey, masterSalt, s.key, len(masterKey))
		if err != nil {
			return nil, err
		}
		salt, err := derive(masterKey, masterSalt, s.salt, gcmNonce)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		if *s.aead, err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
		copy(s.to[:], salt)
	}
	return g, nil
}

// cipher is the memory of what seals and opens RTP: key schedule and tables.
func (g *gcm) cipher() (unsafe.Pointer, uintptr) {
	if t := reflect.TypeOf(g.rtp); t.Kind() == reflect.Pointer {
		return reflect.ValueOf(g.rtp).UnsafePointer(), t.Elem().Size()
	}
	return nil, 0
}

func (g *gcm) overhead() int { return gcmTag }

// nonce is RFC 7714 §8.1: 00 00, SSRC, ROC, SEQ, exclusive or with the salt.
func (g *gcm) nonce(id packetID) []byte {
	binary.BigEndian.PutUint16(g.iv[0:], binary.BigEndian.Uint16(g.saltRTP[0:]))
	binary.BigEndian.PutUint32(g.iv[2:], binary.BigEndian.Uint32(g.saltRTP[2:])^id.ssrc)
	binary.BigEndian.PutUint32(g.iv[6:], binary.BigEndian.Uint32(g.saltRTP[6:])^id.roc)
	binary.BigEndian.PutUint16(g.iv[10:], binary.BigEndian.Uint16(g.saltRTP[10:])^id.seq)
	return g.iv[:]
}

func (g *gcm) seal(dst []byte, hdr int, plain []byte, id packetID) []byte {
	return g.rtp.Seal(dst[:hdr], g.nonce(id), plain, dst[:hdr])
}

func (g *gcm) open(packet []byte, hdr int, id packetID) ([]byte, bool) {
	plain, err := g.rtp.Open(packet[hdr:hdr], g.nonce(id), packet[hdr:], packet[:hdr])
	return plain, err == nil
}

// nonceRTCP is RFC 7714 §9.1: 00 00, SSRC, 00 00, index, exclusive or with the
// salt. The associated data are the first eight bytes and the index word
// (§9.2), which stand at opposite ends of the packet.
func (g *gcm) nonceRTCP(header []byte, index uint32) {
	g.iv = g.saltRTCP
	ssrc := binary.BigEndian.Uint32(header[4:])
	binary.BigEndian.PutUint32(g.iv[2:], binary.BigEndian.Uint32(g.iv[2:])^ssrc)
	binary.BigEndian.PutUint32(g.iv[8:], binary.BigEndian.Uint32(g.iv[8:])^index)
	copy(g.aad[:], header[:rtcpHeader])
	binary.BigEndian.PutUint32(g.aad[rtcpHeader:], index|encrypted)
}

func (g *gcm) sealRTCP(dst, compound []byte, index uint32) []byte {
	dst = dst[:rtcpHeader]
	copy(dst, compound)
	g.nonceRTCP(dst, index)
	dst = g.rtcp.Seal(dst, g.iv[:], compound[rtcpHeader:], g.aad[:])
	return binary.BigEndian.AppendUint32(dst, index|encrypted)
}

// indexWord is the packet's end (RFC 7714 §9.2).
func (g *gcm) indexWord(packet []byte) uint32 {
	return binary.BigEndian.Uint32(packet[len(packet)-indexLen:])
}

func (g *gcm) openRTCP(packet []byte, index uint32) ([]byte, bool) {
	g.nonceRTCP(packet, index)
	sealed := packet[rtcpHeader : len(packet)-indexLen]
	plain, err := g.rtcp.Open(sealed[:0], g.iv[:], sealed, g.aad[:])
	return packet[:rtcpHeader+len(plain)], err == nil
}
