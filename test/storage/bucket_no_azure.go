//go:build !azure

package storage

import "testing"

var startAzure func(testing.TB) *Bucket
