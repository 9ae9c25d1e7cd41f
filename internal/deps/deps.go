// Package deps holds the module's chosen libraries while the packages that use them are being written.
package deps

import (
	_ "github.com/alecthomas/kong"
	_ "github.com/at-wat/ebml-go"
	_ "github.com/at-wat/ebml-go/webm"
	_ "github.com/at-wat/ebml-go/mkvcore"
	_ "github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	_ "github.com/bluenviron/mediacommon/v2/pkg/formats/mp4"
	_ "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	_ "github.com/google/uuid"
	_ "github.com/gorilla/websocket"
	_ "github.com/oklog/ulid/v2"
	_ "github.com/pion/webrtc/v4"
	_ "github.com/pion/interceptor"
	_ "github.com/pion/interceptor/pkg/twcc"
	_ "github.com/pion/stun/v4"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/collectors"
	_ "github.com/prometheus/client_golang/prometheus/testutil"
	_ "github.com/sourcegraph/jsonrpc2"
	_ "go.uber.org/goleak"
	_ "golang.org/x/crypto/hkdf"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/time/rate"
)
