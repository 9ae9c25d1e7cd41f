package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"gocloud.dev/blob"

	"github.com/govidu/govidu/internal/secret"
)

// Location says where recordings are stored.
type Location struct {
	// URL is scheme://bucket/folder?options, such as
	// s3://recordings/site-1?region=eu-west-1. It holds no secrets.
	URL string
	// AccessKey and SecretKey are S3's; empty: the usual places of the provider's
	// tools (environment, files, the machine's role).
	AccessKey string
	SecretKey secret.Secret
	// Headers go with S3 uploads; names are canonical.
	Headers map[string]secret.Secret
	// AzureAccount and AzureKey are Azure's; empty: the usual places.
	AzureAccount string
	AzureKey     secret.Secret
}

// opener opens the bucket of one scheme.
type opener func(context.Context, *url.URL, Location) (*blob.Bucket, error)

// drivers opens buckets by scheme; one that the build tags left out is nil.
var drivers = map[string]opener{"s3": openS3, "gs": gcsDriver, "azblob": azureDriver}

// known are the schemes of all builds, with the tag that brings them.
var known = map[string]string{"s3": "", "gs": "gcs", "azblob": "azure"}

// Check says what is wrong with a location, without going there. Its errors may
// be shown: they never hold a secret.
func Check(l Location) error {
	_, err := parse(l)
	return err
}

func parse(l Location) (*url.URL, error) {
	u, err := url.Parse(l.URL)
	if err != nil {
		return nil, errors.New("storage URL is not a URL")
	}
	tag, ok := known[u.Scheme]
	switch {
	case !ok:
		return nil, fmt.Errorf("storage URL must begin with one of %s", strings.Join(slices.Sorted(maps.Keys(known)), "://, ")+"://")
	case drivers[u.Scheme] == nil:
		return nil, fmt.Errorf("%s:// is not in this build: it needs -tags %s (make build has it)", u.Scheme, tag)
	case u.Host == "":
		return nil, errors.New("storage URL names no bucket")
	case u.User != nil:
		return nil, errors.New("storage URL must hold no user and password: use the settings or the environment of the provider's tools")
	}
	return u, nil
}

// Open opens the bucket of a location and gives the folder within it, "" or
// ending in a slash. It does not go there: a bucket that is down is no error.
func Open(ctx context.Context, l Location) (bucket *blob.Bucket, prefix string, err error) {
	u, err := parse(l)
	if err != nil {
		return nil, "", err
	}
	prefix = strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	u.Path = ""
	bucket, err = drivers[u.Scheme](ctx, u, l)
	if err != nil {
		return nil, "", fmt.Errorf("open storage: %w", err)
	}
	return bucket, prefix, nil
}
