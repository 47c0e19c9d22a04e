package handle

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Formats of a value's data in JSON.
const (
	formatString  = "string"
	formatBase64  = "base64"
	formatAdmin   = "admin"
	formatMembers = "vlist"
	formatSite    = "site"
	formatKey     = "key"
)

// The JSON forms of predefined types, as the REST interface of stock software has them.
type (
	adminJSON struct {
		Handle      string `json:"handle"`
		Index       uint32 `json:"index"`
		Permissions string `json:"permissions"` // twelve bits or more, the highest first
		Legacy      bool   `json:"legacyByteLength,omitempty"`
	}
	memberJSON struct {
		Handle string `json:"handle"`
		Index  uint32 `json:"index"`
	}
	siteJSON struct {
		Version      uint16          `json:"version"`
		Protocol     string          `json:"protocolVersion"`
		Serial       uint16          `json:"serialNumber"`
		Primary      bool            `json:"primarySite"`
		MultiPrimary bool            `json:"multiPrimary"`
		Hash         string          `json:"hashOption,omitempty"`
		Filter       string          `json:"hashFilter,omitempty"`
		Attributes   []attributeJSON `json:"attributes,omitempty"`
		Servers      []serverJSON    `json:"servers"`
	}
	attributeJSON struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	serverJSON struct {
		ID         uint32          `json:"serverId"`
		Address    string          `json:"address"`
		Key        *dataJSON       `json:"publicKey,omitempty"`
		Interfaces []interfaceJSON `json:"interfaces"`
	}
	interfaceJSON struct {
		Query    bool   `json:"query"`
		Admin    bool   `json:"admin"`
		Protocol string `json:"protocol"`
		Port     uint32 `json:"port"`
	}
	dataJSON struct {
		Format string `json:"format"`
		Value  any    `json:"value"`
	}
)

// Describe returns the JSON form of a value's data and the name of that form: admin,
// vlist, site and key for the predefined types (a key is a JWK, RFC 7517), string for
// UTF-8, and base64 for everything else, also for what says that it is of a predefined
// type and is not. The form is to be handed to encoding/json.
func Describe(v *identifier.Value) (format string, form any) {
	switch {
	case v.Type == "HS_ADMIN":
		if a, err := ParseAdmin(v.Data); err == nil {
			return formatAdmin, adminJSON{a.Who.Handle, a.Who.Index, fmt.Sprintf("%012b", uint16(a.Permissions)), a.Legacy}
		}
	case v.Type == "HS_VLIST":
		if m, err := ParseMembers(v.Data); err == nil {
			list := make([]memberJSON, len(m))
			for i := range m {
				list[i] = memberJSON(m[i])
			}
			return formatMembers, list
		}
	case v.Type == typeSite || strings.HasPrefix(v.Type, "HS_SITE."):
		if s, err := ParseSite(v.Data); err == nil {
			return formatSite, s.Describe()
		}
	case v.Type == "HS_PUBKEY":
		if k, err := ParsePublicKey(v.Data); err == nil && k.jwk() != nil {
			return formatKey, k.jwk()
		}
	}
	if utf8.Valid(v.Data) {
		return formatString, string(v.Data)
	}
	return formatBase64, base64.StdEncoding.EncodeToString(v.Data)
}

// jwk writes a key as a JSON Web Key; nil for a kind that has no such form.
func (k *PublicKey) jwk() map[string]string {
	names := map[string][]string{
		"RSA_PUB_KEY": {"RSA", "e", "n"}, "DSA_PUB_KEY": {"DSA", "q", "p", "g", "y"}, "DH_PUB_KEY": {"DH", "y", "p", "g"},
	}[k.Type]
	if names == nil {
		return nil
	}
	form := map[string]string{"kty": names[0]}
	for i, name := range names[1:] {
		number := k.Parts[i]
		for len(number) > 1 && number[0] == 0 {
			number = number[1:]
		}
		form[name] = base64.RawURLEncoding.EncodeToString(number)
	}
	return form
}

var transportNames = [...]string{UDP: "UDP", TCP: "TCP", HTTP: "HTTP", HTTPS: "HTTPS"}

func (t Transport) String() string {
	if int(t) < len(transportNames) {
		return transportNames[t]
	}
	return fmt.Sprintf("protocol %d", uint8(t))
}

// Describe returns the JSON form of a site.
func (s *Site) Describe() any {
	form := siteJSON{
		Version: s.Format, Protocol: fmt.Sprintf("%d.%d", s.Version.Major, s.Version.Minor), Serial: s.Serial,
		Primary: s.Primary, MultiPrimary: s.MultiPrimary, Filter: s.Filter, Servers: []serverJSON{},
	}
	switch s.Hash { // the whole handle is what stock software takes for granted
	case HashPrefix:
		form.Hash = "byPrefix"
	case HashSuffix:
		form.Hash = "bySuffix"
	}
	for _, a := range s.Attributes {
		form.Attributes = append(form.Attributes, attributeJSON(a))
	}
	for i := range s.Servers {
		server := &s.Servers[i]
		d := serverJSON{ID: server.ID, Address: server.IP().String(), Interfaces: []interfaceJSON{}}
		if len(server.Key) > 0 {
			format, key := Describe(&identifier.Value{Type: "HS_PUBKEY", Data: server.Key})
			d.Key = &dataJSON{format, key}
		}
		for _, f := range server.Interfaces {
			d.Interfaces = append(d.Interfaces, interfaceJSON{f.Kind&interfaceQuery != 0, f.Kind&interfaceAdmin != 0, f.Protocol.String(), f.Port})
		}
		form.Servers = append(form.Servers, d)
	}
	return form
}

// interfaceAdmin is the bit of an interface that takes administration.
const interfaceAdmin = 1
