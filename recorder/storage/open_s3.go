package storage

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	gcaws "gocloud.dev/aws"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// openS3 takes the options of gocloud.dev/aws.V2ConfigFromURLParams, and
// use_path_style.
func openS3(ctx context.Context, u *url.URL, l Location) (*blob.Bucket, error) {
	q := u.Query()
	pathStyle := false
	if v := q.Get("use_path_style"); v != "" {
		var err error
		if pathStyle, err = strconv.ParseBool(v); err != nil {
			return nil, fmt.Errorf("use_path_style: %w", err)
		}
		q.Del("use_path_style")
	}
	if q.Get("endpoint") != "" {
		// What is not Amazon's has no regions, and often not its newer checksums.
		for name, value := range map[string]string{"region": "us-east-1", "request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"} {
			if !q.Has(name) {
				q.Set(name, value)
			}
		}
	}
	cfg, err := gcaws.V2ConfigFromURLParams(ctx, q)
	if err != nil {
		return nil, err
	}
	if l.AccessKey != "" {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(l.AccessKey, l.SecretKey.Reveal(), "")
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = pathStyle })
	return s3blob.OpenBucket(ctx, client, u.Host, &s3blob.Options{RequestChecksumCalculation: cfg.RequestChecksumCalculation})
}
