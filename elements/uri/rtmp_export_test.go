package uri

import "crypto/x509"

// TrustRTMP makes endpoints believe these roots, until the function it gives is called.
func TrustRTMP(roots *x509.CertPool) (undo func()) {
	before := rtmpRoots
	rtmpRoots = roots
	return func() { rtmpRoots = before }
}
