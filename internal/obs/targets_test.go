package obs

import "testing"

func TestHideTargets(t *testing.T) {
	for text, want := range map[string]string{
		`{"uri":"rtmp://live.example:1935/app/s3cr3t?t=s3cr3t","x":1}`:  `{"uri":"rtmp://live.example:1935/app/***","x":1}`,
		`{"uri":"RTMPS:\/\/live.example\/app\/s3cr3t\"s3cr3t"}`:         `{"uri":"RTMPS:\/\/live.example\/app/***"s3cr3t"}`,
		`to rtmp://bob:s3cr3t@live.example/app/x/s3cr3t and http://a/b`: `to rtmp://live.example/app/*** and http://a/b`,
		`rtmp://live.example rtmp://live.example/s3cr3t/`:               `rtmp://live.example/*** rtmp://live.example/s3cr3t/***`,
		`nothing: rtmp`: `nothing: rtmp`, ``: ``,
	} {
		if got := HideTargets(text); got != want {
			t.Errorf("%s\ngives %s\nwant  %s", text, got, want)
		}
	}
}
