package serve

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// AskClients makes c ask clients for a certificate of one of the CAs in a PEM file.
// With must, a client without one is refused; otherwise it is let in, and the
// handler sees by Request.TLS.VerifiedChains who had one.
func AskClients(c *tls.Config, caFile string, must bool) error {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("read client CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("read client CA %s: no PEM certificate in it", caFile)
	}
	c.ClientCAs, c.ClientAuth = pool, tls.VerifyClientCertIfGiven
	if must {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return nil
}
