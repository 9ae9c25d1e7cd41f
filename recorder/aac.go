package recorder

import "slices"

// aacSamples is how many samples a frame of AAC-LC holds (ISO/IEC 14496-3 §4.5.2.1).
const aacSamples = 1024

// maxAACConfig is the longest configuration that esds can hold in descriptors
// whose lengths are one byte.
const maxAACConfig = 64

// aacConfig is an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of AAC-LC; nil
// for a rate that has no number.
func aacConfig(rate uint32, channels uint16) []byte {
	rates := []uint32{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
	i := slices.Index(rates, rate)
	if i < 0 || channels == 0 || channels > 6 {
		return nil
	}
	return []byte{2<<3 | byte(i)>>1, byte(i)<<7 | byte(channels)<<3}
}

// bareAAC is a frame without its ADTS header, if it has one.
func bareAAC(unit []byte) []byte { return unit[adtsHead(unit):] }

// adtsHead is the length of a unit's ADTS header, 0 when it has none.
func adtsHead(unit []byte) int {
	switch {
	case len(unit) < 9 || unit[0] != 0xff || unit[1]&0xf6 != 0xf0:
		return 0
	case int(unit[3]&3)<<11|int(unit[4])<<3|int(unit[5]>>5) != len(unit): // the frame's own length
		return 0
	case unit[1]&1 == 0:
		return 9
	}
	return 7
}

// esds describes AAC to an MP4 player (ISO/IEC 14496-1 §7.2.6, 14496-14 §5.6).
func esds(config []byte) []byte {
	descriptor := func(tag byte, body ...[]byte) []byte {
		n := 0
		for _, b := range body {
			n += len(b)
		}
		out := []byte{tag, byte(n)} // all of ours are shorter than 128 bytes
		for _, b := range body {
			out = append(out, b...)
		}
		return out
	}
	decoder := descriptor(4, []byte{0x40, 5<<2 | 1, 0, 0, 0}, u32(0, 0), descriptor(5, config))
	return fullBox("esds", 0, 0, descriptor(3, []byte{0, 0, 0}, decoder, descriptor(6, []byte{2})))
}
