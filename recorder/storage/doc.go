// Package storage keeps copies of recordings in a bucket: S3 and what speaks its
// protocol; Google Cloud Storage and Azure when built with the tags gcs and azure
// (docs/adr/0012). The local folder stays the truth until the bucket's copy is
// verified.
//
// While a recording grows, what is new in its files is uploaded as numbered chunks
// below <id>/.live/, so that the loss of the machine loses little. When its files
// are final they are uploaded whole to <id>/, verified, and the chunks go. Uploads
// survive restarts: `.upload.json` beside the recording says how far they are.
// A bucket that is down is retried for ever, with growing pauses; nobody waits.
//
// Recordings whose folder was lost with its machine are listed again at the start,
// and served from the bucket.
//
// Uploader owns all goroutines: one that plans, one that looks for lost recordings
// at the start, and at most 2×Parallel that move bytes; Close ends them.
package storage
