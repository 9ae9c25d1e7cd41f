// Package storage tests recorder/storage against servers that speak the protocols of
// buckets: versitygw (S3), fake-gcs-server (Google Cloud Storage) and Azurite, all on
// this machine, with a proxy between that is slow, cut, full or lies. `make
// test-storage` installs them and runs the tests; without GOVIDU_BUCKETS=1 they are
// skipped, and without the tags gcs and azure there is S3 only.
//
// The end-to-end tests use StartS3 for the whole server.
package storage
