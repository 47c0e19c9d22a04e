package tcp

import (
	"net"
	"net/netip"
)

// Enter takes a place for a client; Leave gives it back.
func Enter(p *Places, client netip.Prefix) bool { return p.enter(client) }

// Leave gives back a place.
func Leave(p *Places, client netip.Prefix) { p.leave(client) }

// Clients returns how many clients have a place.
func Clients(p *Places) int { return len(p.clients) }

// ClientOf returns what counts as one client.
func ClientOf(a net.Addr) netip.Prefix { return clientOf(a) }

// Unfair makes a server that gives nobody else a turn.
func Unfair(s *Server) { s.unfair = true }
