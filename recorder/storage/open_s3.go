package storage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithy "github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	gcaws "gocloud.dev/aws"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/govidu/govidu/internal/secret"
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
	if cfg.Region == "" {
		return nil, errors.New("the region of the bucket is not known: set OPENVIDU_PRO_AWS_REGION, or region in the URL")
	}
	if l.AccessKey != "" {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(l.AccessKey, l.SecretKey.Reveal(), "")
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = pathStyle
		if len(l.Headers) > 0 {
			o.APIOptions = append(o.APIOptions, func(stack *smithy.Stack) error {
				return stack.Build.Add(&headers{l.Headers}, smithy.After)
			})
		}
	})
	return s3blob.OpenBucket(ctx, client, u.Host, &s3blob.Options{RequestChecksumCalculation: cfg.RequestChecksumCalculation})
}

// headers adds what the settings ask for to requests. Those that say what an object
// is go with the request that makes it; the customer's own encryption keys with
// every request about its bytes.
type headers struct{ values map[string]secret.Secret }

const customerKey = "X-Amz-Server-Side-Encryption-Customer-"

var (
	making  = []string{"PutObject", "CreateMultipartUpload"}
	ofBytes = []string{"PutObject", "CreateMultipartUpload", "UploadPart", "GetObject", "HeadObject"}
)

// ID implements middleware.BuildMiddleware.
func (*headers) ID() string { return "govidu.Headers" }

// HandleBuild implements middleware.BuildMiddleware: it comes before the signature.
func (h *headers) HandleBuild(ctx context.Context, in smithy.BuildInput, next smithy.BuildHandler) (smithy.BuildOutput, smithy.Metadata, error) {
	if r, ok := in.Request.(*smithyhttp.Request); ok {
		operation := middleware.GetOperationName(ctx)
		for name, value := range h.values {
			which := making
			if strings.HasPrefix(name, customerKey) {
				which = ofBytes
			}
			if slices.Contains(which, operation) {
				r.Header.Set(name, value.Reveal())
			}
		}
	}
	return next.HandleBuild(ctx, in)
}
