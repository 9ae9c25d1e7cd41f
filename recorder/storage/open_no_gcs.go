//go:build !gcs

package storage

var gcsDriver opener
