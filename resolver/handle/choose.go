package handle

import (
	"crypto/md5"
	"encoding/binary"
	"strings"
)

// Server returns the server of a site that a handle is at; nil when the site has none.
// The part of the handle that the site hashes decides: the absolute value of the last
// four octets of its MD5, in capitals, modulo the number of servers.
func (s *Site) Server(handle string) *SiteServer {
	if len(s.Servers) == 0 {
		return nil
	}
	return &s.Servers[s.Hash.of(handle)%uint32(len(s.Servers))]
}

// of returns the hash of a handle, which is never negative where stock software reads
// it as a signed number.
func (h HashOption) of(handle string) uint32 {
	prefix, suffix, found := strings.Cut(handle, "/")
	switch {
	case h == HashPrefix && found:
		handle = prefix
	case h == HashSuffix && found:
		handle = suffix
	}
	sum := md5.Sum([]byte(upper(handle)))
	n := int32(binary.BigEndian.Uint32(sum[len(sum)-4:]))
	if n < 0 {
		n = -n
	}
	return uint32(n)
}

// upper puts the ASCII letters into capitals and leaves every other octet.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}
