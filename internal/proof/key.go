package proof

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// signingFile is the private key (PKCS #8, PEM, mode 0600); publicPrefix+id+".pem"
// are public ones (SPKI, PEM), those of earlier private keys among them.
const (
	signingFile  = "signing.pem"
	publicPrefix = "public-"
)

// messagePrefix comes before the head in what is signed, so that a signature can
// be taken for nothing else.
const messagePrefix = "govidu-proof-1:"

// PublicKey verifies. ID is the first 16 hex digits of the SHA-256 of its SPKI form.
type PublicKey struct {
	ID  string
	Key ed25519.PublicKey
}

// PEM is the key as openssl reads it.
func (k PublicKey) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.Key)
	if err != nil {
		panic(err) // an ed25519 key always has this form
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func newPublicKey(k ed25519.PublicKey) PublicKey {
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(der)
	return PublicKey{ID: hex.EncodeToString(sum[:8]), Key: k}
}

// ParsePublicKeys reads the PEM blocks of public keys in b; other blocks are an
// error, and so is none at all.
func ParsePublicKeys(b []byte) ([]PublicKey, error) {
	var keys []PublicKey
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("parse key: %q is no public key", block.Type)
		}
		k, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse key: %w", err)
		}
		e, ok := k.(ed25519.PublicKey)
		if !ok {
			return nil, errors.New("parse key: not an Ed25519 key")
		}
		keys = append(keys, newPublicKey(e))
	}
	if len(keys) == 0 {
		return nil, errors.New("parse key: no PEM block in it")
	}
	return keys, nil
}

// Keys are the server's: one that signs, and the public parts of it and of all
// before it. Safe for concurrent use.
type Keys struct {
	private ed25519.PrivateKey
	current PublicKey
	all     []PublicKey
}

// OpenKeys reads the keys in dir, and makes dir and the first key when there is
// none. A private key that others may read is refused.
func OpenKeys(dir string) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	at := filepath.Join(dir, signingFile)
	st, err := os.Stat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeKey(dir); err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("open keys: %w", err)
	case st.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("open keys: %s is readable by others (mode %o): anybody could have signed with it; make it 0600, or remove it for a new key", at, st.Mode().Perm())
	}
	b, err := os.ReadFile(at)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("open keys: %s is not PEM", at)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("open keys: %s: %w", at, err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("open keys: %s is not an Ed25519 key", at)
	}
	k := &Keys{private: private, current: newPublicKey(private.Public().(ed25519.PublicKey))}
	// Its public part may be missing: a crash between the two writes.
	if err := writeNew(dir, publicPrefix+k.current.ID+".pem", k.current.PEM(), 0o644); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	if k.all, err = ReadPublicKeys(dir); err != nil {
		return nil, err
	}
	return k, nil
}

// Rotate makes a new signing key in dir; the public part of the old one stays, its
// private part is gone. A running server signs with the old one until it starts again.
func Rotate(dir string) (PublicKey, error) {
	if _, err := OpenKeys(dir); err != nil {
		return PublicKey{}, err
	}
	if err := makeKey(dir); err != nil {
		return PublicKey{}, fmt.Errorf("rotate key: %w", err)
	}
	k, err := OpenKeys(dir)
	if err != nil {
		return PublicKey{}, err
	}
	return k.current, nil
}

func makeKey(dir string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return replace(dir, signingFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// writeNew writes a file unless it is there.
func writeNew(dir, name string, b []byte, mode fs.FileMode) error {
	if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
		return nil
	}
	return replace(dir, name, b, mode)
}

// replace writes a file whole or not at all.
func replace(dir, name string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// ReadPublicKeys reads all public keys of a folder of keys.
func ReadPublicKeys(dir string) ([]PublicKey, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var all []PublicKey
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), publicPrefix) || !strings.HasSuffix(e.Name(), ".pem") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		keys, err := ParsePublicKeys(b)
		if err != nil {
			return nil, fmt.Errorf("read keys: %s: %w", e.Name(), err)
		}
		all = append(all, keys...)
	}
	return all, nil
}

// Current is the public part of the key that signs.
func (k *Keys) Current() PublicKey { return k.current }

// Public are all public keys, earlier ones too.
func (k *Keys) Public() []PublicKey { return k.all }

// Signature is the data of an entry of type "signature": it signs the entry before
// it, and through the chain all before that one.
type Signature struct {
	Key   string `json:"key"`   // PublicKey.ID
	Value string `json:"value"` // 64 bytes, base64
}

// Message is what a signature over a log with this head signs: the ASCII text
// "govidu-proof-1:" and the head in hex, without a newline.
func Message(head Hash) []byte { return []byte(messagePrefix + head.String()) }

// Sign appends a signature over the log as it stands.
func (k *Keys) Sign(l *Log) error {
	value := ed25519.Sign(k.private, Message(l.Head()))
	return l.Append(TypeSignature, Signature{Key: k.current.ID, Value: base64.StdEncoding.EncodeToString(value)})
}
