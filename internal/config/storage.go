package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/govidu/govidu/internal/secret"
)

// Storage is about the bucket that takes recordings; without one they stay in their
// folder. The names that begin with OPENVIDU_PRO_ are OpenVidu Pro's.
type Storage struct {
	RecordingStorage  string        `name:"recording-storage" var:"OPENVIDU_PRO_RECORDING_STORAGE" default:"local" enum:"local,s3" help:"local keeps recordings in their folder; s3 moves them into the bucket that the settings of S3 name."`
	S3Bucket          string        `name:"s3-bucket" var:"OPENVIDU_PRO_AWS_S3_BUCKET" placeholder:"NAME" help:"Bucket, with a folder in it if wished: NAME or NAME/FOLDER."`
	S3Endpoint        string        `name:"s3-endpoint" var:"OPENVIDU_PRO_AWS_S3_SERVICE_ENDPOINT" placeholder:"URL" help:"Address of an S3 service other than Amazon's, such as https://minio.example.com:9000."`
	S3AccessKey       string        `name:"s3-access-key" var:"OPENVIDU_PRO_AWS_ACCESS_KEY" placeholder:"ID" help:"Access key. Without one: AWS_ACCESS_KEY_ID, the files of Amazon's tools, the role of the machine."`
	S3SecretKey       secret.Secret `name:"s3-secret-key" var:"OPENVIDU_PRO_AWS_SECRET_KEY" placeholder:"SECRET" help:"Its secret. Better in the environment than in a flag, where other users of the machine see it."`
	S3Region          string        `name:"s3-region" var:"OPENVIDU_PRO_AWS_REGION" placeholder:"REGION" help:"Region of the bucket, such as eu-west-1. Needed on Amazon."`
	S3Headers         S3Headers     `name:"s3-headers" var:"OPENVIDU_PRO_AWS_S3_HEADERS" placeholder:"JSON" help:"HTTP headers sent when an upload begins, such as {\"x-amz-acl\":\"bucket-owner-full-control\"}."`
	S3PathStyle       bool          `name:"s3-with-path-style-access" var:"OPENVIDU_PRO_AWS_S3_WITH_PATH_STYLE_ACCESS" help:"Name the bucket in the path, not in the host, as many services of their own want it."`
	StorageURL        string        `name:"recording-storage-url" var:"GOVIDU_RECORDING_STORAGE_URL" placeholder:"URL" help:"The bucket as one address, instead of the settings above: s3://, gs:// or azblob://BUCKET/FOLDER?OPTIONS."`
	AzureAccount      string        `name:"azure-storage-account" var:"AZURE_STORAGE_ACCOUNT" placeholder:"NAME" help:"Account of azblob://. Connection strings, tokens and the identity of the machine are found in the environment by their usual names."`
	AzureKey          secret.Secret `name:"azure-storage-key" var:"AZURE_STORAGE_KEY" placeholder:"KEY" help:"Key of that account."`
	GoogleCredentials string        `name:"google-application-credentials" var:"GOOGLE_APPLICATION_CREDENTIALS" placeholder:"PATH" help:"JSON file with the service account for gs://. Without it: the account of the machine."`
	KeepLocal         time.Duration `name:"recording-keep-local" var:"GOVIDU_RECORDING_KEEP_LOCAL" default:"0s" placeholder:"DURATION" help:"How long the local copy stays once the bucket's is verified; negative is for ever."`
	ReadyWhenUploaded bool          `name:"recording-ready-when-uploaded" var:"GOVIDU_RECORDING_READY_WHEN_UPLOADED" default:"true" negatable:"" help:"Keep recordings at stopped until the bucket's copy is verified. Otherwise they are ready when their files are, and uploaded afterwards."`
	RedirectFor       time.Duration `name:"recording-redirect" var:"GOVIDU_RECORDING_REDIRECT" default:"0s" placeholder:"DURATION" help:"Send who fetches a recorded file to an address of the bucket that is good for so long; 0 serves it through this server."`
}

// S3Headers are HTTP headers by name. Values are masked, because encryption keys may
// be among them.
type S3Headers map[string]secret.Secret

// maxS3Headers bounds how many there may be.
const maxS3Headers = 64

// UnmarshalText reads a JSON object of texts, or a JSON list of texts NAME=VALUE.
func (h *S3Headers) UnmarshalText(text []byte) error {
	wrong := errors.New(`want headers such as {"x-amz-acl":"bucket-owner-full-control"}`)
	plain := map[string]string{}
	if strings.HasPrefix(strings.TrimSpace(string(text)), "[") {
		var list []string
		if json.Unmarshal(text, &list) != nil {
			return wrong
		}
		for _, item := range list {
			name, value, ok := strings.Cut(item, "=")
			if !ok {
				return wrong
			}
			plain[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	} else if json.Unmarshal(text, &plain) != nil {
		return wrong
	}
	if len(plain) > maxS3Headers {
		return fmt.Errorf("more than %d headers", maxS3Headers)
	}
	out := S3Headers{}
	for name, value := range plain {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return wrong
		}
		out[http.CanonicalHeaderKey(name)] = secret.New(value)
	}
	*h = out
	return nil
}

// bucketForm is what providers allow as the name of a bucket, and a folder.
var bucketForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,221}(/[A-Za-z0-9!_.*'()/-]*)?$`)

// check applies the rules between settings of storage.
func (s *Storage) check() (warnings []string, err error) {
	if s.RecordingStorage != "s3" && s.S3Bucket != "" {
		warnings = append(warnings, "OPENVIDU_PRO_AWS_S3_BUCKET has no effect without OPENVIDU_PRO_RECORDING_STORAGE=s3")
	}
	if s.AzureKey.Len() > 0 && s.AzureAccount == "" {
		err = errors.New("AZURE_STORAGE_KEY needs AZURE_STORAGE_ACCOUNT")
	}
	return warnings, errors.Join(err, s.checkURL(), s.checkS3(), notNegative("GOVIDU_RECORDING_REDIRECT", int(s.RedirectFor)))
}

func (s *Storage) checkURL() error {
	if s.StorageURL == "" {
		return nil
	}
	if s.RecordingStorage == "s3" {
		return errors.New("GOVIDU_RECORDING_STORAGE_URL and OPENVIDU_PRO_RECORDING_STORAGE=s3 name a bucket each: set one of them")
	}
	// The address is not repeated: somebody may have put a password into it.
	u, err := url.Parse(s.StorageURL)
	switch {
	case err != nil || u.Host == "":
		return errors.New("GOVIDU_RECORDING_STORAGE_URL must look like s3://BUCKET/FOLDER?OPTIONS")
	case u.User != nil:
		return errors.New("GOVIDU_RECORDING_STORAGE_URL must hold no user and password: there are settings for them")
	}
	return nil
}

func (s *Storage) checkS3() error {
	if (s.S3AccessKey == "") != (s.S3SecretKey.Len() == 0) {
		return errors.New("OPENVIDU_PRO_AWS_ACCESS_KEY and OPENVIDU_PRO_AWS_SECRET_KEY go together")
	}
	if s.RecordingStorage != "s3" {
		return nil
	}
	if !bucketForm.MatchString(s.S3Bucket) {
		return fmt.Errorf("OPENVIDU_PRO_AWS_S3_BUCKET %q must be the name of a bucket, or NAME/FOLDER", s.S3Bucket)
	}
	if s.S3Endpoint == "" {
		return nil
	}
	u, err := url.Parse(s.endpoint())
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return errors.New("OPENVIDU_PRO_AWS_S3_SERVICE_ENDPOINT must look like https://minio.example.com:9000")
	}
	return nil
}

// endpoint is S3Endpoint with a scheme.
func (s *Storage) endpoint() string {
	if strings.Contains(s.S3Endpoint, "://") {
		return s.S3Endpoint
	}
	return "https://" + s.S3Endpoint
}

// Bucket is the bucket as scheme://bucket/folder?options, "" for none. It holds no
// secrets.
func (s *Storage) Bucket() string {
	if s.RecordingStorage != "s3" {
		return s.StorageURL
	}
	q := url.Values{}
	if s.S3Region != "" {
		q.Set("region", s.S3Region)
	}
	if s.S3Endpoint != "" {
		q.Set("endpoint", s.endpoint())
	}
	if s.S3PathStyle {
		q.Set("use_path_style", "true")
	}
	bucket, folder, _ := strings.Cut(s.S3Bucket, "/")
	u := url.URL{Scheme: "s3", Host: bucket, Path: "/" + folder, RawQuery: q.Encode()}
	return u.String()
}
