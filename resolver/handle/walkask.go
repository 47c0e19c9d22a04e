package handle

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
)

// asked is a question of a walk.
type asked struct {
	handle  string
	request *Message
}

// place is a server that may be asked.
type place struct {
	site   *Site
	server *SiteServer
	ip     netip.Addr
	at     netip.AddrPort // what it is remembered by
	silent bool
}

// round is one way to ask all places.
type round struct {
	transport Transport
	wait      time.Duration
}

// rounds are the ways in their order: each transport once, then datagrams twice more.
func (t *tour) rounds() []round {
	var list []round
	for _, transport := range t.o.Transports {
		wait := walkStream
		if transport == UDP {
			wait = waits[0]
		}
		list = append(list, round{transport, wait})
	}
	if slices.Contains(t.o.Transports, UDP) {
		list = append(list, round{UDP, waits[1]}, round{UDP, waits[2]})
	}
	return list
}

// ask asks the servers at which a handle is, one of each site, until one gives an answer
// to believe. Where there is none, but all that answered were not responsible, that is
// the answer.
func (t *tour) ask(ctx context.Context, sites []*Site, q *asked) (*Message, error) {
	places := t.places(sites, q)
	if len(places) == 0 {
		return nil, errNowhere
	}
	var last error
	var elsewhere *Message
	passed := map[int]bool{} // that said something of no use
	for _, r := range t.rounds() {
		for i := range places {
			port := places[i].server.port(r.transport)
			if port == 0 || passed[i] {
				continue
			}
			if cause := context.Cause(ctx); cause != nil {
				return nil, fmt.Errorf("given up: %w", cause)
			}
			m, err := t.one(ctx, &places[i], netip.AddrPortFrom(places[i].ip, port), r, q)
			switch {
			case errors.Is(err, errTooMany):
				return nil, err
			case err != nil:
				last = errors.Join(err, last)
				t.noteSilent(places[i].at)
				continue
			}
			if m, err = t.current(ctx, &places[i], m, r, q); err != nil {
				last = err
				continue
			}
			why := useless(m, q)
			if why == nil {
				return m, nil
			}
			// Who is too busy for datagrams may not be for connections.
			passed[i], last = m.Code != TooBusy || r.transport != UDP, why
			if m.Code == NotResponsible {
				elsewhere = m
			}
		}
	}
	if elsewhere != nil {
		return elsewhere, nil
	}
	return nil, errors.Join(errSilent, last)
}

// places returns the servers to ask, best first.
func (t *tour) places(sites []*Site, q *asked) []place {
	var list []place
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, s := range sites {
		server := s.Server(q.handle)
		if server == nil {
			continue
		}
		ip := server.IP()
		if t.forbidden(ip) {
			continue
		}
		at := netip.AddrPortFrom(ip, questionPort(server))
		list = append(list, place{s, server, ip, at, now.Before(t.silent[at])})
	}
	rank := func(p place) int {
		n := 0
		if p.silent {
			n = 2
		}
		if q.request.Flags&FlagAuthoritative != 0 && !p.site.Primary {
			n++
		}
		return n
	}
	slices.SortStableFunc(list, func(a, b place) int { return rank(a) - rank(b) })
	return list
}

// forbidden reports whether an address must not be asked.
func (w *Walk) forbidden(ip netip.Addr) bool {
	return ip.IsLoopback() && !w.inside || ip.IsUnspecified() || ip.IsMulticast() ||
		ip == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// noteSilent remembers that a server did not answer.
func (t *tour) noteSilent(at netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.silent) >= maxWalkDead {
		clear(t.silent)
	}
	t.silent[at] = time.Now().Add(walkDead)
}

// port returns where a server answers questions over a transport; 0 for nowhere.
func (s *SiteServer) port(transport Transport) uint16 {
	for _, f := range s.Interfaces {
		if f.Kind&interfaceQuery != 0 && f.Protocol == transport && f.Port > 0 && f.Port <= 65535 {
			return uint16(f.Port)
		}
	}
	return 0
}

// one puts a question to a server once.
func (t *tour) one(ctx context.Context, p *place, at netip.AddrPort, r round, q *asked) (*Message, error) {
	if t.left == 0 {
		return nil, errTooMany
	}
	t.left--
	request := *q.request
	request.Serial, request.Request = p.site.Serial, randomRequest()
	var key *PublicKey
	if len(p.server.Key) > 0 {
		known, err := ParsePublicKey(p.server.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: the key in its site information: %w", at, err)
		}
		key = known
		request.Flags |= FlagCertified
	}
	ctx, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	c := NewClient(at.String(), ClientOptions{Key: key})
	m, err := func() (*Message, error) {
		switch r.transport {
		case UDP:
			return c.overUDP(ctx, &request, r.wait)
		case TCP:
			return c.overTCP(ctx, &request)
		}
		scheme, o := "http://", TunnelOptions{}
		if r.transport == HTTPS {
			// As inside of TLS elsewhere: the key of the site says who it is, or nobody.
			scheme, o.TLS = "https://", &tls.Config{InsecureSkipVerify: true, VerifyConnection: c.proven, MinVersion: tls.VersionTLS12}
		}
		tunnelled, err := NewTunnelClient(scheme+at.String(), o)
		if err != nil {
			return nil, err
		}
		defer tunnelled.Close()
		return tunnelled.tunnel.exchange(ctx, &request, q.handle)
	}()
	if err == nil {
		err = c.trust(m)
	}
	if err != nil {
		return nil, fmt.Errorf("%s over %v: %w", at, r.transport, err)
	}
	return m, nil
}

// current makes of the answer that the site information is out of date the answer that
// a server gives who hears of the newer one.
func (t *tour) current(ctx context.Context, p *place, m *Message, r round, q *asked) (*Message, error) {
	if m.Code != SiteInfoOutOfDate {
		return m, nil
	}
	at := netip.AddrPortFrom(p.ip, p.server.port(r.transport))
	about := &asked{handle: "/", request: newRequest(&t.q)}
	about.request.Opcode, about.request.Flags, about.request.Body = OpSiteInfo, FlagDigest, Name{"/"}.Append(nil)
	told, err := t.one(ctx, p, at, r, about)
	if err != nil {
		return nil, err
	}
	_, body, err := told.ParseBody()
	info, ok := body.(SiteInfo)
	if err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("%s calls its site information out of date and tells no other", at), err)
	}
	server := info.Site.Server(q.handle)
	if server == nil || !slices.ContainsFunc(info.Site.Servers, func(s SiteServer) bool { return s.IP() == p.ip }) {
		return nil, fmt.Errorf("%s tells site information that it is not in", at)
	}
	t.renew(p.site, info.Site)
	port := server.port(r.transport)
	if ip := server.IP(); port == 0 || t.forbidden(ip) {
		return nil, errNowhere
	}
	return t.one(ctx, &place{site: info.Site, server: server, ip: server.IP()}, netip.AddrPortFrom(server.IP(), port), r, q)
}

// renew puts newer site information in the place of older wherever that is known.
func (t *tour) renew(old, current *Site) {
	t.mu.Lock()
	defer t.mu.Unlock()
	replace := func(sites []*Site) []*Site {
		if i := slices.Index(sites, old); i >= 0 {
			sites = slices.Clone(sites)
			sites[i] = current
		}
		return sites
	}
	t.roots = replace(t.roots)
	for p, at := range t.known {
		at.sites = replace(at.sites)
		t.known[p] = at
	}
}

// useless returns why an answer is not one to go on with, so that another server is
// asked; nil when it is.
func useless(m *Message, q *asked) error {
	_, body, err := m.ParseBody()
	if err != nil {
		return err
	}
	switch m.Code {
	case Success:
		if v, ok := body.(Values); !ok || !strings.EqualFold(v.Handle, q.handle) {
			return errors.New("a server gives the values of another handle")
		}
	case NotFound, ValuesNotFound, ServiceReferral, PrefixReferral, NotPermitted, InvalidHandle, AuthenticationNeeded:
	default:
		detail := m.Code.String()
		if f, ok := body.(Failure); ok && f.Message != "" {
			detail += ": " + f.Message
		}
		return errors.New(resolver.OneLine(detail))
	}
	return nil
}
