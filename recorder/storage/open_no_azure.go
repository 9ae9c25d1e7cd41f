//go:build !azure

package storage

var azureDriver opener
