package uri

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// complete gives a URI as Kurento shows it: %2F becomes a slash, and a text
// without a scheme gets the default path in front (kurento-elements §6).
func complete(uri, defaultPath string) string {
	uri = strings.ReplaceAll(strings.ReplaceAll(uri, "%2F", "/"), "%2f", "/")
	if i := strings.Index(uri, "://"); i > 0 && !strings.ContainsAny(uri[:i], "/?#") {
		return uri
	}
	return strings.TrimRight(defaultPath, "/") + "/" + strings.TrimLeft(uri, "/")
}

// fileTarget finds the root a file URI lies below, the deepest one if several
// do, and the slash path from there. Symbolic links are os.Root's to judge.
func fileTarget(uri string, roots []string) (root, name string, err error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", "", fmt.Errorf("parse uri: %w", err)
	}
	if u.Scheme != "file" {
		return "", "", fmt.Errorf("record to %s: this build writes to file URIs only", u.Scheme)
	}
	if u.Host != "" && u.Host != "localhost" {
		return "", "", errors.New("record to file: URI names another host")
	}
	path := filepath.Clean(filepath.FromSlash(u.Path))
	if !filepath.IsAbs(path) || strings.HasSuffix(u.Path, "/") {
		return "", "", fmt.Errorf("record to %s: not the path of a file", u.Path)
	}
	for _, r := range roots {
		abs, err := filepath.Abs(r)
		if err != nil {
			continue
		}
		rel, err := filepath.Rel(abs, path)
		if err != nil || !filepath.IsLocal(rel) || rel == "." {
			continue
		}
		if len(abs) > len(root) {
			root, name = abs, filepath.ToSlash(rel)
		}
	}
	if root == "" {
		return "", "", fmt.Errorf("record to %s: outside the folders that may be written to (file roots)", path)
	}
	return root, name, nil
}
