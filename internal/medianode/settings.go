package medianode

import (
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/elements/webrtc"
	"github.com/govidu/govidu/internal/config"
	"github.com/govidu/govidu/internal/workers"
)

// Apply takes the settings of media, the control port and endpoints that every
// program with a media node has; the rest of c stays as it is.
func (c *Config) Apply(m config.Media, k config.Kurento, e config.Endpoints) error {
	host, port, err := e.HTTPPost()
	if err != nil {
		return err
	}
	c.MediaPort, c.AnnouncedIPs, c.FileRoots = m.MediaPort, m.AnnouncedIP, m.FileRoots
	c.Workers = workers.Config{Binary: m.MediaWorker, Cores: m.WorkerCores}
	c.DenyPrivateURLs = m.DenyPrivateURLs
	c.Token, c.Open, c.AllowedOrigins = k.KMSToken, k.KMSOpen, k.KMSAllowedOrigins
	c.Path, c.ExceptionLimit, c.SessionPeriod, c.NoRequestCache = k.KMSPath, k.KMSExceptionLimit, k.SessionPeriod(), k.KMSNoRequestCache
	c.RTPMinPort, c.RTPMaxPort = e.RTPMinPort, e.RTPMaxPort
	c.Endpoints = webrtc.Defaults{
		NetworkInterfaces: e.NetworkInterfaces, STUNAddress: e.EndpointSTUN, STUNPort: e.EndpointSTUNPort,
		TURNURL: e.EndpointTURN.Reveal(), NoICETCP: !e.ICETCP, FlexFEC: e.OfferFlexFEC, MTU: e.RTPMTU,
	}
	c.PEMCertificateRSA, c.PEMCertificateECDSA = e.PEMCertificateRSA, e.PEMCertificateECDSA
	c.HTTPPost = uri.HTTP{Address: host, Port: port, Announced: e.HTTPPostAnnounced}
	return nil
}
