package webrtc

// DSCPValue is how outgoing packets shall be marked.
type DSCPValue string

// dscpValues are the names with their code points (RFC 8837 §5 and IANA's
// registry). NO_DSCP and NO_VALUE leave packets unmarked, as 0 does.
var dscpValues = []struct {
	name string
	code uint8
}{
	{"NO_DSCP", 0}, {"NO_VALUE", 0},
	{"AUDIO_VERYLOW", 1}, {"AUDIO_LOW", 0}, {"AUDIO_MEDIUM", 46}, {"AUDIO_HIGH", 46},
	{"VIDEO_VERYLOW", 1}, {"VIDEO_LOW", 0}, {"VIDEO_MEDIUM", 36}, {"VIDEO_MEDIUM_THROUGHPUT", 38},
	{"VIDEO_HIGH", 36}, {"VIDEO_HIGH_THROUGHPUT", 34},
	{"DATA_VERYLOW", 1}, {"DATA_LOW", 0}, {"DATA_MEDIUM", 10}, {"DATA_HIGH", 18},
	{"CHROME_HIGH", 56}, {"CHROME_MEDIUM", 56}, {"CHROME_LOW", 0}, {"CHROME_VERYLOW", 8},
	{"CS0", 0}, {"CS1", 8}, {"CS2", 16}, {"CS3", 24}, {"CS4", 32}, {"CS5", 40}, {"CS6", 48}, {"CS7", 56},
	{"AF11", 10}, {"AF12", 12}, {"AF13", 14}, {"AF21", 18}, {"AF22", 20}, {"AF23", 22},
	{"AF31", 26}, {"AF32", 28}, {"AF33", 30}, {"AF41", 34}, {"AF42", 36}, {"AF43", 38},
	{"EF", 46}, {"VOICEADMIT", 44}, {"LE", 1},
}

// Values implements the enumeration.
func (DSCPValue) Values() []string {
	out := make([]string, len(dscpValues))
	for i, v := range dscpValues {
		out[i] = v.name
	}
	return out
}

// mark is the code point, 0 for unmarked.
func (v DSCPValue) mark() uint8 {
	for _, x := range dscpValues {
		if x.name == string(v) {
			return x.code
		}
	}
	return 0
}
