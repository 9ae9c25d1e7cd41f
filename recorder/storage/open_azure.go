//go:build azure

package storage

import (
	"context"
	"net/url"

	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
)

var azureDriver opener = openAzure

// openAzure uses AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or
// AZURE_STORAGE_SAS_TOKEN, a connection string, or the machine's identity.
func openAzure(ctx context.Context, u *url.URL, _ Location) (*blob.Bucket, error) {
	return blob.OpenBucket(ctx, azureblob.Scheme+"://"+u.Host+"?"+u.RawQuery)
}
