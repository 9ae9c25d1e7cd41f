// Package secret holds the type for values that must never be printed:
// passwords, shared keys, tokens. Printing, logging or marshalling one gives
// "***". It starts no goroutines and imports nothing of ours, so any package may
// use it.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Mask is what a secret shows of itself.
const Mask = "***"

// Secret is a value that never prints. The value sits behind a pointer, so that
// even printing a struct with a Secret in an unexported field, where fmt calls no
// methods, shows an address only. The zero Secret is empty. Copies are cheap;
// compare with Equal, since == compares addresses.
type Secret struct{ value *string }

var (
	_ fmt.Formatter  = Secret{}
	_ slog.LogValuer = Secret{}
)

// New wraps a plain value.
func New(plain string) Secret { return Secret{&plain} }

// Reveal gives the plain value, for handing to a protocol, never to a log.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Len is the length of the value in bytes.
func (s Secret) Len() int { return len(s.Reveal()) }

// Equal compares with a candidate in constant time over SHA-256 of both, so that
// neither content nor length can be measured. An empty secret equals nothing,
// not even "": an unset secret lets nobody in.
func (s Secret) Equal(candidate string) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(candidate))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && s.Len() > 0
}

// String implements fmt.Stringer with the mask.
func (s Secret) String() string { return Mask }

// GoString implements fmt.GoStringer with the mask.
func (s Secret) GoString() string { return Mask }

// Format implements fmt.Formatter, so that no verb, %x or %q included, shows the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Mask)) }

// MarshalJSON implements json.Marshaler with the mask.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }

// MarshalText implements encoding.TextMarshaler with the mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// UnmarshalText implements encoding.TextUnmarshaler: it takes the text as it is.
func (s *Secret) UnmarshalText(b []byte) error { *s = New(string(b)); return nil }

// LogValue implements slog.LogValuer with the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Mask) }
