//go:build gcs

package storage

import (
	"context"
	"net/url"

	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
)

var gcsDriver opener = openGCS

// openGCS uses Google's default credentials (GOOGLE_APPLICATION_CREDENTIALS or
// the machine's account).
func openGCS(ctx context.Context, u *url.URL, _ Location) (*blob.Bucket, error) {
	return blob.OpenBucket(ctx, gcsblob.Scheme+"://"+u.Host+"?"+u.RawQuery)
}
