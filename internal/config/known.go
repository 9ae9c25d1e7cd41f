package config

import (
	"reflect"
	"sort"
	"strings"
)

// later are OpenVidu settings that this version does not act on. Who sets one
// hears so at each start: silence would be a false promise.
var later = map[string]string{
	"OPENVIDU_CDR": "the call detail record is not written yet", "OPENVIDU_CDR_PATH": "the call detail record is not written yet",
	"OPENVIDU_WEBHOOK": "webhooks are not sent yet", "OPENVIDU_WEBHOOK_ENDPOINT": "webhooks are not sent yet",
	"OPENVIDU_WEBHOOK_HEADERS": "webhooks are not sent yet", "OPENVIDU_WEBHOOK_EVENTS": "webhooks are not sent yet",
	"KMS_URIS":  "the server uses the media node inside it only",
	"COTURN_IP": "there is no TURN server inside yet; use OPENVIDU_WEBRTC_ICE_SERVERS", "COTURN_PORT": "there is no TURN server inside yet; use OPENVIDU_WEBRTC_ICE_SERVERS",
	"COTURN_SHARED_SECRET_KEY": "there is no TURN server inside yet; use OPENVIDU_WEBRTC_ICE_SERVERS",
	"HTTP_PORT":                "only HTTPS is served; there is no redirect from plain HTTP yet",
	"LETSENCRYPT_EMAIL":        "certificates are not ordered yet; use CERTIFICATE_TYPE=owncert",
}

// needless are settings of OpenVidu's packaging that have no counterpart in one
// process: container images, Java memory, versions.
var needless = map[string]bool{
	"OPENVIDU_RECORDING_COMPOSED_BASICAUTH": true, // pages get what they need without a password in their address
	"OPENVIDU_RECORDING_DEBUG":              true, "OPENVIDU_RECORDING_VERSION": true, "OPENVIDU_RECORDING_IMAGE": true,
	"OPENVIDU_RECORDING_ENABLE_GPU": true, "OPENVIDU_EDITION": true, "OPENVIDU_DISTRIBUTED": true,
}

// unknown gives a sentence for each setting that has no effect.
func (v variables) unknown() []string {
	known := names(reflect.TypeFor[KMS](), names(reflect.TypeFor[Config](), map[string]bool{}))
	var out []string
	for _, m := range []map[string]string{v.env, v.file} {
		for name, value := range m {
			switch why := later[name]; {
			case value == "" || value == "false" || value == "[]" || known[name] || needless[name]:
			case why != "":
				out = append(out, name+" has no effect: "+why)
			case strings.HasPrefix(name, "OPENVIDU_"), strings.HasPrefix(name, "GOVIDU_"), strings.HasPrefix(name, "KMS_"):
				out = append(out, name+" is not a setting of this version; --help lists them")
			}
		}
	}
	sort.Strings(out)
	return out
}

func names(t reflect.Type, into map[string]bool) map[string]bool {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names(f.Type, into)
		} else if name := f.Tag.Get("var"); name != "" {
			into[name] = true
		}
	}
	return into
}
