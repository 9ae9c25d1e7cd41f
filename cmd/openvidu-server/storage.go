package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/govidu/govidu/openvidu/recording"
	"github.com/govidu/govidu/recorder/storage"
)

// startStorage starts what copies recordings to the bucket of the settings. A bucket
// that cannot be reached is no error; settings that can never work are.
func (s *server) startStorage(ctx context.Context) error {
	c := s.cfg
	if !c.RecordingEnabled || c.Bucket() == "" {
		return nil
	}
	if c.GoogleCredentials != "" && os.Getenv(googleCredentials) == "" {
		// From the settings file: Google's library looks in the environment only.
		if err := os.Setenv(googleCredentials, c.GoogleCredentials); err != nil {
			return err
		}
	}
	bucket, prefix, err := storage.Open(ctx, storage.Location{
		URL: c.Bucket(), AccessKey: c.S3AccessKey, SecretKey: c.S3SecretKey, Headers: c.S3Headers,
		AzureAccount: c.AzureAccount, AzureKey: c.AzureKey,
	})
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(c.RecordingPath)
	if err == nil {
		err = os.MkdirAll(dir, 0o750)
	}
	if err != nil {
		_ = bucket.Close()
		return fmt.Errorf("make recordings folder: %w", err)
	}
	s.storage, err = storage.New(storage.Options{
		Bucket: bucket, Prefix: prefix, Dir: dir, Log: s.log, Metrics: s.metrics, Meta: recording.MetaFile, Keep: c.KeepLocal, Link: c.RedirectFor,
	})
	if err != nil {
		_ = bucket.Close()
		return err
	}
	s.down.Add("storage", func(context.Context) error { return s.storage.Close() })
	return nil
}

const googleCredentials = "GOOGLE_APPLICATION_CREDENTIALS"

// storageOf is the service's view of u; nil stays nil.
func storageOf(u *storage.Uploader) recording.Storage {
	if u == nil {
		return nil
	}
	return bucket{u}
}

// bucket is an Uploader as recordings want it.
type bucket struct{ *storage.Uploader }

// Open implements recording.Storage.
func (b bucket) Open(id, file string) (recording.File, fs.FileInfo, error) {
	o, err := b.Uploader.Open(id, file)
	if err != nil {
		return nil, nil, err
	}
	info, err := o.Stat()
	return o, info, err
}
