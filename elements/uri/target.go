package uri

import "strings"

// complete gives a URI as Kurento shows it: %2F becomes a slash, and a text
// without a scheme gets the default path in front (kurento-elements §6).
func complete(uri, defaultPath string) string {
	uri = strings.ReplaceAll(strings.ReplaceAll(uri, "%2F", "/"), "%2f", "/")
	if i := strings.Index(uri, "://"); i > 0 && !strings.ContainsAny(uri[:i], "/?#") {
		return uri
	}
	return strings.TrimRight(defaultPath, "/") + "/" + strings.TrimLeft(uri, "/")
}
