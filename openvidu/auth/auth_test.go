package auth

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestIDs(t *testing.T) {
	for _, c := range []struct {
		name string
		make func() string
		want string
	}{
		{"session", NewSessionID, `^ses_[A-Z][A-Za-z0-9]{9}$`},
		{"connection", NewConnectionID, `^con_[A-Z][A-Za-z0-9]{9}$`},
		{"token", NewTokenID, `^tok_[A-Z][A-Za-z0-9]{21}$`},
		{"private", NewPrivateID, `^[a-z0-9]{26}$`},
		{"final user", NewFinalUserID, `^[0-9A-F]{16}$`},
		{"camera", func() string { return NewStreamID("CAMERA", true, "con_X") }, `^str_CAM_[A-Z][A-Za-z0-9]{3}_con_X$`},
		{"screen", func() string { return NewStreamID("SCREEN", true, "con_X") }, `^str_SCR_[A-Z][A-Za-z0-9]{3}_con_X$`},
		{"custom", func() string { return NewStreamID("CUSTOM", true, "con_X") }, `^str_CUS_[A-Z][A-Za-z0-9]{3}_con_X$`},
		{"no video", func() string { return NewStreamID("CAMERA", false, "con_X") }, `^str_MIC_[A-Z][A-Za-z0-9]{3}_con_X$`},
	} {
		re, seen := regexp.MustCompile(c.want), map[string]bool{}
		for range 500 {
			id := c.make()
			if !re.MatchString(id) {
				t.Fatalf("%s: %q does not match %s", c.name, id, c.want)
			}
			if seen[id] && !strings.HasPrefix(id, "str_") {
				t.Fatalf("%s: %q came twice", c.name, id)
			}
			seen[id] = true
		}
	}
}

func TestRandomIsUniform(t *testing.T) {
	count := map[rune]int{}
	const n = 62 * 2000
	for _, r := range random(base62, n) {
		count[r]++
	}
	for _, r := range base62 {
		// 2000 expected, standard deviation about 44: nine of them is no accident.
		if c := count[r]; c < 1600 || c > 2400 {
			t.Errorf("%c came %d times of %d, want about 2000", r, c, n)
		}
	}
}

func TestConnectionOfStream(t *testing.T) {
	for in, want := range map[string]string{
		"str_CAM_Abcd_con_Xyz":               "con_Xyz",
		"str_CAM_con__con_Xyz":               "con_Xyz",
		"str_IPC_Abcd_ipc_IPCAM_rtsp_AB_h_8": "ipc_IPCAM_rtsp_AB_h_8",
		"con_A_CAMERA":                       "con_A_CAMERA",
		"nothing":                            "",
		"":                                   "",
	} {
		if got, ok := ConnectionOfStream(in); got != want || ok != (want != "") {
			t.Errorf("ConnectionOfStream(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestTokenURL(t *testing.T) {
	legacy := &LegacyToken{Publisher, "2.15.0", "1.2.3.4", "user", "pass"}
	for _, c := range []struct {
		in   TokenURL
		want string
	}{
		{TokenURL{Host: "h", Port: 443, SessionID: "S", Token: "tok_A"}, "wss://h?sessionId=S&token=tok_A"},
		{TokenURL{Host: "h", Port: 4443, SessionID: "S", Token: "tok_A"}, "wss://h:4443?sessionId=S&token=tok_A"},
		{TokenURL{Host: "h", Port: 8080, Plain: true, SessionID: "S", Token: "tok_A"}, "ws://h:8080?sessionId=S&token=tok_A"},
		{TokenURL{Host: "::1", Port: 443, SessionID: "S", Token: "T"}, "wss://[::1]?sessionId=S&token=T"},
		{TokenURL{Host: "::1", Port: 444, SessionID: "S", Token: "T"}, "wss://[::1]:444?sessionId=S&token=T"},
		{TokenURL{Host: "h", Port: 443, SessionID: "S", Token: "T", Legacy: legacy},
			"wss://h?sessionId=S&token=T&role=PUBLISHER&version=2.15.0&coturnIp=1.2.3.4&turnUsername=user&turnCredential=pass"},
		{TokenURL{Host: "h", Port: 443, SessionID: "S", Token: "T", Legacy: &LegacyToken{TURNUsername: "a=b", TURNCredential: "c&d"}},
			"wss://h?sessionId=S&token=T"},
	} {
		got := c.in.String()
		if got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		ref, err := ParseToken(got)
		if err != nil || ref.ID != c.in.Token || ref.SessionID != c.in.SessionID {
			t.Errorf("ParseToken(%s) = %+v, %v", got, ref, err)
		}
	}
}

func TestParseToken(t *testing.T) {
	for _, c := range []struct {
		in, id, session, secret string
		recorder, bad           bool
	}{
		{in: "tok_Abc", id: "tok_Abc"},
		{in: "wss://h:4443?sessionId=S&token=tok_A", id: "tok_A", session: "S"},
		{in: "wss://h/ignored/path?token=tok_A", id: "tok_A"},
		{in: "wss://h?sessionId=S&secret=MY_SECRET&recorder=true", session: "S", secret: "MY_SECRET", recorder: true},
		{in: "", bad: true}, {in: "wss://h", bad: true}, {in: "wss://h?sessionId=S", bad: true},
		{in: "a\nb", bad: true}, {in: "?" + strings.Repeat("a", 3000), bad: true}, {in: "h?token=%zz", bad: true},
	} {
		got, err := ParseToken(c.in)
		if (err != nil) != c.bad || got.ID != c.id || got.SessionID != c.session || got.Secret.Reveal() != c.secret || got.Recorder != c.recorder {
			t.Errorf("ParseToken(%q) = %+v, %v", c.in, got, err)
		}
		if c.secret != "" && strings.Contains(fmt.Sprintf("%+v %#v", got, got), c.secret) {
			t.Errorf("a printed reference shows the secret")
		}
	}
}

func TestParseSession(t *testing.T) {
	for in, want := range map[string]string{
		"ses_A": "ses_A", "wss://h:8443/chain": "chain", "wss://h/name?secret=X": "name", "": "", "wss://h/": "",
	} {
		if got := ParseSession(in); got != want {
			t.Errorf("ParseSession(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestRoleTable walks every method × role × target against the contract's §8,
// written out here by hand.
func TestRoleTable(t *testing.T) {
	targets := map[string]Target{"own": {Own: true}, "own, filter named": {Own: true, Given: true}, "other's": {}, "other's, filter named": {Given: true}}
	everybody := []string{
		"receiveVideoFrom", "prepareReceiveVideoFrom", "unsubscribeFromVideo", "onIceCandidate", "reconnectStream",
		"sendMessage", "subscribeToSpeechToText", "unsubscribeFromSpeechToText", "sessionStatus",
		"setPreferredLayer", "subscribeToActiveSpeakers", "unsubscribeFromActiveSpeakers",
	}
	in := func(m string, list ...string) bool {
		for _, x := range list {
			if x == m {
				return true
			}
		}
		return false
	}
	want := func(m string, r Role, tg Target) bool {
		switch {
		case in(m, everybody...):
			return r.Valid()
		case in(m, "leaveRoom", "unpublishVideo"):
			return r.Valid() && tg.Own
		case in(m, "publishVideo", "streamPropertyChanged", "videoData"):
			return (r == Publisher || r == Moderator) && tg.Own
		case in(m, "forceUnpublish", "forceDisconnect"):
			return r == Moderator
		case in(m, "applyFilter", "removeFilter", "execFilterMethod", "addFilterEventListener", "removeFilterEventListener"):
			return r == Moderator || r == Publisher && tg.Own && tg.Given
		}
		return false
	}
	methods := append(Methods(), "joinRoom", "ping", "customRequest", "", "LEAVEROOM")
	for _, m := range methods {
		for _, r := range []Role{Subscriber, Publisher, Moderator, "", "ADMIN", "moderator"} {
			for name, tg := range targets {
				if got := Allow(m, r, tg); got != want(m, r, tg) {
					t.Errorf("Allow(%q, %q, %s) = %v, want %v", m, r, name, got, !got)
				}
			}
		}
	}
	if len(Methods()) != 24 {
		t.Errorf("the table has %d methods, want 24: write the new one's rights into this test", len(Methods()))
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{
		"tok_Abc", "wss://h:4443?sessionId=S&token=tok_A", "wss://h?sessionId=S&secret=X&recorder=true", "?token=%41", "?token=a&token=b",
		"wss://[::1]:443?token=x;y", "?", "a?b?token=c", "wss://h?sessionId=\xff&token=\x00", strings.Repeat("?token=", 400),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseToken(s)
		if err != nil {
			if ref != (TokenRef{}) {
				t.Errorf("refused, but gave %+v", ref)
			}
			return
		}
		if ref.ID == "" && ref.Secret.Len() == 0 {
			t.Error("accepted without a token or a secret")
		}
		// A bare id read back is itself: nothing is cut or decoded twice.
		if !strings.ContainsAny(ref.ID, "?/=&") && ref.ID != "" && !strings.ContainsFunc(ref.ID, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			if again, err := ParseToken(ref.ID); err != nil || again.ID != ref.ID {
				t.Errorf("ParseToken(%q) = %+v, %v", ref.ID, again, err)
			}
		}
		if id := ParseSession(s); ValidSessionID(id) && strings.ContainsAny(id, "/?") {
			t.Errorf("session id %q", id)
		}
	})
}
