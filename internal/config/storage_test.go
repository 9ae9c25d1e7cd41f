package config

import (
	"fmt"
	"strings"
	"testing"
)

const s3On = "OPENVIDU_PRO_RECORDING_STORAGE=s3"

func TestStorageIsLocalByDefault(t *testing.T) {
	if c := must(t, nil); c.Storage.Bucket() != "" || !c.ReadyWhenUploaded || c.KeepLocal != 0 {
		t.Errorf("defaults of storage are wrong: %+v", c.Storage)
	}
}

func TestBucket(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"amazon":  {[]string{s3On, "OPENVIDU_PRO_AWS_S3_BUCKET=rec", "OPENVIDU_PRO_AWS_REGION=eu-west-1"}, "s3://rec/?region=eu-west-1"},
		"folder":  {[]string{s3On, "OPENVIDU_PRO_AWS_S3_BUCKET=rec/site/1"}, "s3://rec/site/1"},
		"service": {[]string{s3On, "OPENVIDU_PRO_AWS_S3_BUCKET=rec", "OPENVIDU_PRO_AWS_S3_SERVICE_ENDPOINT=minio:9000", "OPENVIDU_PRO_AWS_S3_WITH_PATH_STYLE_ACCESS=true"}, "s3://rec/?endpoint=https%3A%2F%2Fminio%3A9000&use_path_style=true"},
		"url":     {[]string{"GOVIDU_RECORDING_STORAGE_URL=gs://rec/site"}, "gs://rec/site"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := must(t, nil, c.env...).Storage.Bucket(); got != c.want {
				t.Errorf("bucket is %s, want %s", got, c.want)
			}
		})
	}
}

func TestBadStorage(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"no bucket":        {[]string{s3On}, "OPENVIDU_PRO_AWS_S3_BUCKET"},
		"two buckets":      {[]string{s3On, "OPENVIDU_PRO_AWS_S3_BUCKET=rec", "GOVIDU_RECORDING_STORAGE_URL=gs://b"}, "set one of them"},
		"unknown":          {[]string{"OPENVIDU_PRO_RECORDING_STORAGE=gcs"}, "OPENVIDU_PRO_RECORDING_STORAGE"},
		"key alone":        {[]string{"OPENVIDU_PRO_AWS_ACCESS_KEY=a"}, "go together"},
		"password in URL":  {[]string{"GOVIDU_RECORDING_STORAGE_URL=s3://hunter:hunter2@b"}, "no user and password"},
		"no bucket in URL": {[]string{"GOVIDU_RECORDING_STORAGE_URL=hunter2"}, "must look like"},
		"endpoint":         {[]string{s3On, "OPENVIDU_PRO_AWS_S3_BUCKET=rec", "OPENVIDU_PRO_AWS_S3_SERVICE_ENDPOINT=https://u:hunter2@h"}, "must look like"},
		"headers":          {[]string{"OPENVIDU_PRO_AWS_S3_HEADERS=hunter2"}, "want headers such as"},
		"header with line": {[]string{`OPENVIDU_PRO_AWS_S3_HEADERS={"x":"hunter2\n"}`}, "want headers such as"},
		"azure":            {[]string{"AZURE_STORAGE_KEY=hunter2"}, "AZURE_STORAGE_ACCOUNT"},
		"redirect":         {[]string{"GOVIDU_RECORDING_REDIRECT=-1s"}, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, nil, c.env...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// TestStorageSecretsAreMasked: nothing that the start logs shows them.
func TestStorageSecretsAreMasked(t *testing.T) {
	c := must(t, nil, "OPENVIDU_PRO_AWS_ACCESS_KEY=id", "OPENVIDU_PRO_AWS_SECRET_KEY=hunter2", "AZURE_STORAGE_ACCOUNT=a",
		"AZURE_STORAGE_KEY=hunter2", `OPENVIDU_PRO_AWS_S3_HEADERS=["x-amz-acl = hunter2"]`)
	if c.S3Headers["X-Amz-Acl"].Reveal() != "hunter2" {
		t.Errorf("headers are %v", c.S3Headers)
	}
	if shown := fmt.Sprint(c.Settings()); strings.Contains(shown, "hunter2") {
		t.Errorf("settings show a secret: %s", shown)
	}
}

func TestBucketWithoutS3IsWarnedOf(t *testing.T) {
	c := must(t, nil, "OPENVIDU_PRO_AWS_S3_BUCKET=rec")
	if w := strings.Join(c.Warnings(), "\n"); !strings.Contains(w, "OPENVIDU_PRO_AWS_S3_BUCKET has no effect") {
		t.Errorf("warnings: %s", w)
	}
}
