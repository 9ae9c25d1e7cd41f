package auth

import (
	"crypto/rand"
	"regexp"
	"strings"
)

const (
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
	base62 = upper + lower + digits
)

// random gives n characters of the alphabet from crypto/rand, each equally
// likely: bytes at or above the largest multiple of its size are thrown away.
func random(alphabet string, n int) string {
	limit := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	buf := make([]byte, n+n/2+8)
	for len(out) < n {
		_, _ = rand.Read(buf) // never fails: crypto/rand aborts the process instead
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// NewSessionID gives "ses_", one upper-case letter and 9 base62 characters.
func NewSessionID() string { return "ses_" + random(upper, 1) + random(base62, 9) }

// NewConnectionID gives "con_", one upper-case letter and 9 base62 characters.
func NewConnectionID() string { return "con_" + random(upper, 1) + random(base62, 9) }

// NewTokenID gives "tok_", one upper-case letter and 21 base62 characters: about
// 129 bits.
func NewTokenID() string { return "tok_" + random(upper, 1) + random(base62, 21) }

// NewPrivateID gives the id of a browser's transport session: 26 lower-case
// alphanumerics, about 134 bits. Who knows it may take the connection over.
func NewPrivateID() string { return random(lower+digits, 26) }

// NewFinalUserID gives 16 upper-case hexadecimal digits.
func NewFinalUserID() string { return random(digits+"ABCDEF", 16) }

// NewStreamID gives "str_", the first three letters of the type of video (MIC
// without video), four random characters beginning with an upper-case letter,
// and the connection id: str_CAM_Abcd_con_Xyz.
func NewStreamID(typeOfVideo string, hasVideo bool, connectionID string) string {
	kind := "MIC"
	if hasVideo {
		switch typeOfVideo {
		case "SCREEN":
			kind = "SCR"
		case "CUSTOM":
			kind = "CUS"
		case "IPCAM":
			kind = "IPC"
		default:
			kind = "CAM"
		}
	}
	return "str_" + kind + "_" + random(upper, 1) + random(base62, 3) + "_" + connectionID
}

// ConnectionOfStream gives the publisher's connection id in a stream id: the text
// from the last "con_", or behind "_ipc_" for an IP camera. ok is false when the
// id has neither.
func ConnectionOfStream(streamID string) (id string, ok bool) {
	if i := strings.LastIndex(streamID, "con_"); i >= 0 {
		return streamID[i:], true
	}
	if i := strings.LastIndex(streamID, "_ipc_"); i >= 0 {
		return streamID[i+1:], true
	}
	return "", false
}

var sessionID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// ValidSessionID says whether a custom session id is of the contract's alphabet,
// at most 128 characters.
func ValidSessionID(id string) bool { return sessionID.MatchString(id) }
