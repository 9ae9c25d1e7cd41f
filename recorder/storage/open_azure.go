//go:build azure

package storage

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
)

var azureDriver opener = openAzure

// openAzure uses the account and key of the location, else what the environment
// has: AZURE_STORAGE_SAS_TOKEN, a connection string, or the machine's identity.
// Options are protocol, domain, cdn, localemu and storage_account.
func openAzure(ctx context.Context, u *url.URL, l Location) (*blob.Bucket, error) {
	if l.AzureKey.Len() == 0 {
		if q := u.Query(); l.AzureAccount != "" && !q.Has("storage_account") {
			q.Set("storage_account", l.AzureAccount)
			u.RawQuery = q.Encode()
		}
		return blob.OpenBucket(ctx, azureblob.Scheme+"://"+u.Host+"?"+u.RawQuery)
	}
	o := azureblob.NewDefaultServiceURLOptions()
	o.AccountName = l.AzureAccount
	for name, values := range u.Query() {
		var err error
		switch value := values[0]; name {
		case "domain":
			o.StorageDomain = value
		case "protocol":
			o.Protocol = value
		case "storage_account":
			o.AccountName = value
		case "cdn":
			o.IsCDN, err = strconv.ParseBool(value)
		case "localemu":
			o.IsLocalEmulator, err = strconv.ParseBool(value)
		default:
			err = fmt.Errorf("azblob:// has no such option")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	service, err := azureblob.NewServiceURL(o)
	if err != nil {
		return nil, err
	}
	at, err := url.JoinPath(string(service), u.Host)
	if err != nil {
		return nil, err
	}
	key, err := container.NewSharedKeyCredential(o.AccountName, l.AzureKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("key of the account: %w", err)
	}
	client, err := container.NewClientWithSharedKeyCredential(at, key, nil)
	if err != nil {
		return nil, err
	}
	return azureblob.OpenBucket(ctx, client, nil)
}
