package auth

import "github.com/govidu/govidu/internal/secret"

// Secret is the server's secret or another shared key: it never prints and
// compares in constant time.
type Secret = secret.Secret

// NewSecret wraps a plain value.
func NewSecret(plain string) Secret { return secret.New(plain) }
