//go:build !gcs

package storage

import "testing"

var startGCS func(testing.TB) *Bucket
