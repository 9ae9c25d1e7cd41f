package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/secret"
)

// Kurento is the control port for Kurento applications.
type Kurento struct {
	KMSListen         string        `name:"kms-listen" var:"GOVIDU_KMS_LISTEN" default:"127.0.0.1:8888" placeholder:"ADDR" help:"Address of ws://ADDR/kurento; port 0 picks a free one, none switches it off. Beyond loopback a token is required."`
	KMSToken          secret.Secret `name:"kms-token" var:"GOVIDU_KMS_TOKEN" placeholder:"TOKEN" help:"Token that Kurento clients must show, as Authorization: Bearer or as ?access_token= in the URL."`
	KMSOpen           bool          `name:"kms-open" var:"GOVIDU_KMS_OPEN" help:"Serve Kurento clients beyond loopback with no token at all. Whoever reaches the port controls the server."`
	KMSPath           string        `name:"kms-path" var:"GOVIDU_KMS_PATH" default:"kurento" placeholder:"PATH" help:"Path of the WebSocket, without its first slash."`
	KMSCertificate    string        `name:"kms-certificate" var:"GOVIDU_KMS_CERTIFICATE" placeholder:"PATH" help:"PEM certificate chain; with one, wss://ADDR/kurento is served, too."`
	KMSKey            string        `name:"kms-key" var:"GOVIDU_KMS_KEY" placeholder:"PATH" help:"PEM private key of the certificate; without it the key is expected in the certificate's file, as Kurento has it."`
	KMSTLSListen      string        `name:"kms-tls-listen" var:"GOVIDU_KMS_TLS_LISTEN" placeholder:"ADDR" help:"Address of wss://ADDR/kurento. Without it: the host of --kms-listen, port 8433."`
	KMSClientCA       string        `name:"kms-client-ca" var:"GOVIDU_KMS_CLIENT_CA" placeholder:"PATH" help:"PEM certificates of whom clients of wss must be certified by (mutual TLS). They need no token then; with a token set, either is enough."`
	KMSAllowedOrigins []string      `name:"kms-allowed-origins" var:"GOVIDU_KMS_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Origins of web pages that may connect, beside those of localhost; * is all."`
	KMSExceptionLimit float64       `name:"kms-exception-limit" var:"GOVIDU_KMS_EXCEPTION_LIMIT" default:"0.8" placeholder:"PART" help:"Part of the process's limits of threads and open files above which no object is created any more (error 40009); 1 turns it off."`
	KMSSessionPeriod  int           `name:"kms-session-period" var:"GOVIDU_KMS_SESSION_PERIOD" default:"240" placeholder:"SECONDS" help:"A Kurento session without a connection is dropped after one to two of these."`
	KMSNoRequestCache bool          `name:"kms-no-request-cache" var:"GOVIDU_KMS_NO_REQUEST_CACHE" help:"Serve a request with a repeated id anew instead of repeating its answer."`
}

// Endpoints are the settings of Kurento's module files, under the names of the
// container image's variables.
type Endpoints struct {
	RTPMinPort          int           `name:"rtp-min-port" var:"KMS_MIN_PORT" default:"1024" placeholder:"PORT" help:"Lowest UDP port of RtpEndpoints. WebRTC needs the media port only."`
	RTPMaxPort          int           `name:"rtp-max-port" var:"KMS_MAX_PORT" default:"65535" placeholder:"PORT" help:"Highest UDP port of RtpEndpoints."`
	RTPMTU              int           `name:"rtp-mtu" var:"KMS_MTU" default:"1200" placeholder:"BYTES" help:"Largest RTP packet that endpoints make."`
	ExternalIPv4        string        `name:"external-ipv4" var:"KMS_EXTERNAL_IPV4" placeholder:"IP" help:"IPv4 address announced in ICE candidates and by RtpEndpoints."`
	ExternalIPv6        string        `name:"external-ipv6" var:"KMS_EXTERNAL_IPV6" placeholder:"IP" help:"IPv6 address announced in ICE candidates and by RtpEndpoints."`
	ExternalAddress     string        `name:"external-address" var:"KMS_EXTERNAL_ADDRESS" placeholder:"IP" help:"Address announced in ICE candidates, as Kurento 6.x had it."`
	ICETCP              bool          `name:"ice-tcp" var:"KMS_ICE_TCP" default:"true" negatable:"" help:"Offer ICE candidates of TCP, too."`
	OfferFlexFEC        bool          `name:"offer-flexfec" var:"GOVIDU_OFFER_FLEXFEC" default:"false" negatable:"" help:"Name FlexFEC in offers of the server; peers that offer it themselves are always answered."`
	NetworkInterfaces   string        `name:"network-interfaces" var:"KMS_NETWORK_INTERFACES" placeholder:"LIST" help:"Network interfaces that ICE uses, separated by commas; none means all."`
	EndpointSTUN        string        `name:"kms-stun-ip" var:"KMS_STUN_IP" placeholder:"IP" help:"STUN server that WebRtcEndpoints ask for their address."`
	EndpointSTUNPort    int           `name:"kms-stun-port" var:"KMS_STUN_PORT" default:"3478" placeholder:"PORT" help:"Port of that STUN server."`
	HTTPPostListen      string        `name:"http-post-listen" var:"GOVIDU_HTTP_POST_LISTEN" default:"127.0.0.1:9091" placeholder:"ADDR" help:"Address of the URLs of HttpPostEndpoints, bound when the first is made; none switches them off."`
	HTTPPostAnnounced   string        `name:"http-post-announced" var:"GOVIDU_HTTP_POST_ANNOUNCED" placeholder:"HOST" help:"Host that those URLs name, when it is not the address above."`
	PEMCertificateRSA   string        `name:"pem-certificate-rsa" var:"KMS_PEM_CERTIFICATE_RSA" placeholder:"PATH" help:"PEM file with an RSA key and certificate for DTLS, for endpoints with certificateKeyType RSA. Without it one is made at start."`
	PEMCertificateECDSA string        `name:"pem-certificate-ecdsa" var:"KMS_PEM_CERTIFICATE_ECDSA" placeholder:"PATH" help:"The same for certificateKeyType ECDSA."`
	EndpointTURN        secret.Secret `name:"kms-turn-url" var:"KMS_TURN_URL" placeholder:"URL" help:"TURN server of WebRtcEndpoints, as user:password@host:port?transport=udp."`
}

// usualTLSPort is where Kurento serves wss.
const usualTLSPort = "8433"

// check applies the rules of the control port and fills in its TLS address.
func (k *Kurento) check() (warnings []string, err error) {
	if k.KMSExceptionLimit <= 0 {
		return nil, errors.New("GOVIDU_KMS_EXCEPTION_LIMIT must be above 0")
	}
	if k.KMSSessionPeriod <= 0 {
		return nil, errors.New("GOVIDU_KMS_SESSION_PERIOD must be above 0")
	}
	if k.KMSClientCA != "" && k.KMSCertificate == "" {
		return nil, errors.New("GOVIDU_KMS_CLIENT_CA needs GOVIDU_KMS_CERTIFICATE: clients are asked for theirs on wss only")
	}
	host := "127.0.0.1"
	if k.KMSListen != "none" {
		if host, _, err = net.SplitHostPort(k.KMSListen); err != nil {
			return nil, fmt.Errorf("GOVIDU_KMS_LISTEN %q must be ADDRESS:PORT or none", k.KMSListen)
		}
		warnings, err = k.guarded("GOVIDU_KMS_LISTEN", k.KMSListen, host, k.KMSToken.Len() > 0)
	}
	if k.KMSCertificate == "" || err != nil {
		return warnings, err
	}
	if k.KMSTLSListen == "" {
		k.KMSTLSListen = net.JoinHostPort(host, usualTLSPort)
	}
	if host, _, err = net.SplitHostPort(k.KMSTLSListen); err != nil {
		return nil, fmt.Errorf("GOVIDU_KMS_TLS_LISTEN %q must be ADDRESS:PORT", k.KMSTLSListen)
	}
	more, err := k.guarded("GOVIDU_KMS_TLS_LISTEN", k.KMSTLSListen, host, k.KMSToken.Len() > 0 || k.KMSClientCA != "")
	return append(warnings, more...), err
}

// guarded refuses an address that other hosts reach, unless something keeps
// strangers out or the operator insists.
func (k *Kurento) guarded(name, addr, host string, locked bool) ([]string, error) {
	ip, err := netip.ParseAddr(host)
	if host == "localhost" || err == nil && ip.Unmap().IsLoopback() || locked {
		return nil, nil
	}
	if !k.KMSOpen {
		return nil, fmt.Errorf("%s %q is reachable from other hosts: set GOVIDU_KMS_TOKEN, or --kms-client-ca for wss, or --kms-open to serve everybody", name, addr)
	}
	return []string{fmt.Sprintf("the Kurento port %s serves everybody who reaches it, without a token", addr)}, nil
}

// SessionPeriod is KMSSessionPeriod as a duration.
func (k *Kurento) SessionPeriod() time.Duration {
	return time.Duration(k.KMSSessionPeriod) * time.Second
}

// check applies the rules between the endpoints' settings; announced are the
// media addresses, which the external ones join when there are none.
func (e *Endpoints) check(announced *[]string) (warnings []string, err error) {
	errs := []error{
		checkPort("KMS_MIN_PORT", e.RTPMinPort), checkPort("KMS_MAX_PORT", e.RTPMaxPort), checkPort("KMS_STUN_PORT", e.EndpointSTUNPort),
	}
	if e.RTPMinPort > e.RTPMaxPort {
		errs = append(errs, fmt.Errorf("KMS_MIN_PORT %d is above KMS_MAX_PORT %d", e.RTPMinPort, e.RTPMaxPort))
	}
	if e.RTPMTU < 576 || e.RTPMTU > 1500 {
		errs = append(errs, fmt.Errorf("KMS_MTU %d must be 576 to 1500", e.RTPMTU))
	}
	if _, _, err := e.HTTPPost(); err != nil {
		errs = append(errs, err)
	}
	var external []string
	for _, x := range []struct {
		name string
		addr *string
	}{{"KMS_EXTERNAL_IPV4", &e.ExternalIPv4}, {"KMS_EXTERNAL_IPV6", &e.ExternalIPv6}, {"KMS_EXTERNAL_ADDRESS", &e.ExternalAddress}} {
		switch _, parseErr := netip.ParseAddr(*x.addr); {
		case *x.addr == "":
		case *x.addr == "auto":
			warnings = append(warnings, x.name+"=auto has no effect: the address is not asked of the Internet; write it down, or use KMS_STUN_IP")
			*x.addr = ""
		case parseErr != nil:
			errs = append(errs, fmt.Errorf("%s %q is not an IP address", x.name, *x.addr))
		default:
			external = append(external, *x.addr)
		}
	}
	if len(*announced) == 0 {
		*announced = external
	}
	return warnings, errors.Join(errs...)
}

// HTTPPost is where HttpPostEndpoints listen; a port below 0 is nowhere.
func (e *Endpoints) HTTPPost() (host string, port int, err error) {
	if e.HTTPPostListen == "none" {
		return "", -1, nil
	}
	host, text, err := net.SplitHostPort(e.HTTPPostListen)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("GOVIDU_HTTP_POST_LISTEN %q must be ADDRESS:PORT or none", e.HTTPPostListen)
	}
	return host, port, nil
}

// maxConf bounds kurento.conf.json.
const maxConf = 1 << 20

// confFile is what of kurento.conf.json has a counterpart.
type confFile struct {
	MediaServer struct {
		Resources struct {
			ExceptionLimit         json.Number `json:"exceptionLimit"`
			GarbageCollectorPeriod json.Number `json:"garbageCollectorPeriod"`
			DisableRequestCache    bool        `json:"disableRequestCache"`
		} `json:"resources"`
		Net struct {
			Websocket struct {
				Address string      `json:"address"`
				Port    json.Number `json:"port"`
				Path    string      `json:"path"`
				Secure  struct {
					Port        json.Number `json:"port"`
					Certificate string      `json:"certificate"`
					Password    string      `json:"password"`
				} `json:"secure"`
			} `json:"websocket"`
		} `json:"net"`
	} `json:"mediaServer"`
}

// comments of kurento.conf.json: whole lines, as in the files that Kurento ships.
var comments = regexp.MustCompile(`(?m)^\s*(//|#).*$`)

// readConf turns kurento.conf.json into settings by name. Without an address the
// port stays on loopback, where the original listens on all addresses.
func readConf(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read GOVIDU_KMS_CONFIG: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConf+1))
	if err != nil {
		return nil, fmt.Errorf("read GOVIDU_KMS_CONFIG: %w", err)
	}
	if len(text) > maxConf {
		return nil, fmt.Errorf("read GOVIDU_KMS_CONFIG %s: larger than 1 MiB", path)
	}
	var c confFile
	if err := json.Unmarshal(comments.ReplaceAll(text, nil), &c); err != nil {
		return nil, fmt.Errorf("read GOVIDU_KMS_CONFIG %s: %w", path, err)
	}
	ws, res := c.MediaServer.Net.Websocket, c.MediaServer.Resources
	if ws.Secure.Password != "" {
		return nil, fmt.Errorf("read GOVIDU_KMS_CONFIG %s: the key of secure.certificate is encrypted, which is not supported: decrypt it with `openssl pkey`", path)
	}
	host := ws.Address
	if host == "" {
		host = "127.0.0.1"
	}
	m := map[string]string{
		"GOVIDU_KMS_PATH": ws.Path, "GOVIDU_KMS_CERTIFICATE": ws.Secure.Certificate,
		"GOVIDU_KMS_EXCEPTION_LIMIT": res.ExceptionLimit.String(), "GOVIDU_KMS_SESSION_PERIOD": res.GarbageCollectorPeriod.String(),
	}
	if res.DisableRequestCache {
		m["GOVIDU_KMS_NO_REQUEST_CACHE"] = strconv.FormatBool(true)
	}
	if p := ws.Port.String(); p != "" {
		m["GOVIDU_KMS_LISTEN"] = net.JoinHostPort(strings.Trim(host, "[]"), p)
	}
	if p := ws.Secure.Port.String(); p != "" {
		m["GOVIDU_KMS_TLS_LISTEN"] = net.JoinHostPort(strings.Trim(host, "[]"), p)
	}
	return m, nil
}
