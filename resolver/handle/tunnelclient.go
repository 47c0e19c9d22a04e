package handle

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
)

// TunnelPort is where Handle servers listen for messages over HTTP.
const TunnelPort = "8000"

// TunnelOptions of a client over HTTP. The zero value works.
type TunnelOptions struct {
	ClientOptions
	// TLS is how the server is to prove itself over https; nil for a certificate that the
	// system trusts for its name.
	TLS *tls.Config
}

// tunnel carries messages over HTTP.
type tunnel struct {
	base string // scheme and authority
	http http.Client
}

// NewTunnelClient returns a client of the server at a URL, http or https, with nothing
// but host and port, that asks over HTTP only; the port is [TunnelPort] where there is
// none. It keeps connections open: close it after use.
func NewTunnelClient(server string, o TunnelOptions) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
		u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server %.200q: the address of a Handle server over HTTP is http:// or https://, host and port: write it like http://192.0.2.1:8000", server)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), TunnelPort)
	}
	c := NewClient(host, o.ClientOptions)
	c.tunnel = &tunnel{
		base: u.Scheme + "://" + host,
		http: http.Client{
			Transport: &http.Transport{
				TLSClientConfig: o.TLS, IdleConnTimeout: tunnelIdle, MaxIdleConnsPerHost: 16, MaxResponseHeaderBytes: 16 << 10,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	return c, nil
}

// Close closes the connections that are kept open.
func (c *Client) Close() error {
	if c.tunnel != nil {
		c.tunnel.http.CloseIdleConnections()
	}
	return nil
}

// exchange sends a request to the path of a handle and reads the answer to it.
func (t *tunnel) exchange(ctx context.Context, request *Message, handle string) (*Message, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+"/"+url.PathEscape(handle), bytes.NewReader(request.AppendStream(nil)))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", TunnelType)
	r.Header.Set("Accept", TunnelType)
	response, err := t.http.Do(r)
	if err != nil {
		return nil, errors.Join(errNoAnswer, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxTunnelled+1))
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, err
	case media != TunnelType:
		return nil, fmt.Errorf("status %d with %.100q: no Handle server answers there", response.StatusCode, media)
	case len(b) > maxTunnelled:
		return nil, fmt.Errorf("more than %d octets", maxTunnelled)
	}
	e, err := ParseEnvelope(b)
	if err != nil {
		return nil, err
	}
	return readAnswerTo(request, e, b[envelopeOctets:])
}

// about returns the handle that a request of ours is about.
func (m *Message) about() string {
	c := cursor{what: "request", b: m.Body}
	return c.handle()
}
