//go:build gcs

package storage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2/google"
)

var gcsDriver opener = openGCS

// openGCS uses Google's default credentials (GOOGLE_APPLICATION_CREDENTIALS, the
// files of its tools, the machine's account), none with an emulator
// (STORAGE_EMULATOR_HOST). Links need the key of a service account.
func openGCS(ctx context.Context, u *url.URL, _ Location) (*blob.Bucket, error) {
	if u.RawQuery != "" {
		return nil, errors.New("gs:// takes no options")
	}
	if os.Getenv("STORAGE_EMULATOR_HOST") != "" {
		return gcsblob.OpenBucket(ctx, gcp.NewAnonymousHTTPClient(gcp.DefaultTransport()), u.Host, nil)
	}
	creds, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("credentials of Google Cloud: %w", err)
	}
	client, err := gcp.NewHTTPClient(gcp.DefaultTransport(), gcp.CredentialsTokenSource(creds))
	if err != nil {
		return nil, err
	}
	o := &gcsblob.Options{}
	if key, err := google.JWTConfigFromJSON(creds.JSON); err == nil {
		o.GoogleAccessID, o.PrivateKey = key.Email, key.PrivateKey
	}
	return gcsblob.OpenBucket(ctx, client, u.Host, o)
}
