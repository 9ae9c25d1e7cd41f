package storage

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for url, want := range map[string]string{
		"s3://recordings/site-1?region=eu-west-1": "",
		"s3://":                  "names no bucket",
		"s3://key:secret@bucket": "no user and password",
		"ftp://bucket":           "must begin with",
		"s3://bad host/%zz":      "not a URL",
	} {
		switch err := Check(Location{URL: url}); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "key:secret")):
			t.Errorf("%s: %v, want one with %q", url, err, want)
		}
	}
}
