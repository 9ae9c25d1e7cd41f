package obs

import "regexp"

// target is an RTMP URL as it stands in JSON or in a message: what follows the
// application authorises to publish. JSON may write \/ for a slash.
var target = regexp.MustCompile(`(?i)(rtmps?:\\?/\\?/)(?:[^/\\\s"'@]*@)?([^/\\\s"'?]*)(\\?/[^/\\\s"'?]*)?[^\s"']*`)

// HideTargets gives a text without the keys of the RTMP URLs in it, for logs.
//
//	"rtmp://live.example/app/key?t=1" → "rtmp://live.example/app/***"
func HideTargets(text string) string { return target.ReplaceAllString(text, "$1$2$3/***") }
