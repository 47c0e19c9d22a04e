package handle

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Bootstrap is what a client of a Handle tree starts from: the file bootstrap_handles of
// stock software. It is JSON (RFC 8259):
//
//	{"lastUpdate": milliseconds since 1970,
//	 "handles": {"0.NA/0.NA": {"handle": "0.NA/0.NA", "values": [
//	   {"index": 1, "type": "HS_SITE", "data": {"format": "base64", "value": "…"}, "ttl": 86400}]}}}
//
// It is written with sites in base64, the octets of HS_SITE as they are; sites are also
// read in the JSON form that stock software writes.
type Bootstrap struct {
	// Updated is when the file was last true.
	Updated time.Time
	// Handles are the records that it has, by handle.
	Handles map[string][]identifier.Value
}

// RootHandle is the handle whose sites are the top of a Handle tree.
const RootHandle = "0.NA/0.NA"

// Limits of a bootstrap file.
const (
	MaxBootstrap        = 1 << 20 // octets
	maxBootstrapHandles = 256
	maxServiceDepth     = 20 // HS_SERV values that lead from one to the next
	// MaxSites is how many sites of one prefix are looked at.
	MaxSites = 32
)

// NewBootstrap returns what a client starts from that begins at these sites.
func NewBootstrap(sites []*Site, updated time.Time) *Bootstrap {
	var values []identifier.Value
	for i, s := range sites {
		values = append(values, identifier.Value{
			Index: uint32(i + 1), Type: siteType(s), Data: s.Append(nil), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions,
		})
	}
	return &Bootstrap{Updated: updated, Handles: map[string][]identifier.Value{RootHandle: values}}
}

// siteType is HS_SITE for a site that can be asked over IPv4, HS_SITE.6 for one that
// cannot.
func siteType(s *Site) string {
	for i := range s.Servers {
		if s.Servers[i].IP().Is4() {
			return typeSite
		}
	}
	return typeSite6
}

type (
	bootstrapJSON struct {
		Updated int64                          `json:"lastUpdate"`
		Handles map[string]bootstrapRecordJSON `json:"handles"`
	}
	bootstrapRecordJSON struct {
		Handle string               `json:"handle"`
		Values []bootstrapValueJSON `json:"values"`
	}
	bootstrapValueJSON struct {
		Index       uint32          `json:"index"`
		Type        string          `json:"type"`
		Data        json.RawMessage `json:"data"`
		Permissions string          `json:"permissions,omitempty"`
		TTL         json.RawMessage `json:"ttl,omitempty"`
		Timestamp   string          `json:"timestamp,omitempty"`
	}
)

// Append appends the file. Handles are in the order of their octets, so the same is
// always written alike.
func (b *Bootstrap) Append(to []byte) ([]byte, error) {
	form := bootstrapJSON{Updated: b.Updated.UnixMilli(), Handles: map[string]bootstrapRecordJSON{}}
	for handle, values := range b.Handles {
		r := bootstrapRecordJSON{Handle: handle}
		for i := range values {
			v := &values[i]
			data := dataJSON{formatBase64, base64.StdEncoding.EncodeToString(v.Data)}
			if v.Type == typeService {
				data = dataJSON{formatString, string(v.Data)}
			}
			raw, err := json.Marshal(data)
			if err != nil {
				return nil, err
			}
			ttl := strconv.FormatUint(uint64(v.TTL.Seconds), 10)
			r.Values = append(r.Values, bootstrapValueJSON{Index: v.Index, Type: v.Type, Data: raw, TTL: json.RawMessage(ttl)})
		}
		form.Handles[handle] = r
	}
	text, err := json.MarshalIndent(form, "", " ")
	return append(append(to, text...), '\n'), err
}

// ParseBootstrap reads a bootstrap file.
func ParseBootstrap(text []byte) (*Bootstrap, error) {
	if len(text) > MaxBootstrap {
		return nil, fmt.Errorf("a bootstrap file has at most %d octets: this one has %d", MaxBootstrap, len(text))
	}
	var form bootstrapJSON
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, fmt.Errorf("this is no bootstrap file, which is JSON with lastUpdate and handles: %w", err)
	}
	if len(form.Handles) == 0 || len(form.Handles) > maxBootstrapHandles {
		return nil, fmt.Errorf("a bootstrap file has 1 to %d handles, not %d", maxBootstrapHandles, len(form.Handles))
	}
	b := &Bootstrap{Updated: time.UnixMilli(form.Updated).UTC(), Handles: map[string][]identifier.Value{}}
	for handle, r := range form.Handles {
		if len(r.Values) > MaxValues {
			return nil, fmt.Errorf("%.80q has %d values: a record has at most %d", handle, len(r.Values), MaxValues)
		}
		var values []identifier.Value
		for i := range r.Values {
			v := &r.Values[i]
			data, err := readData(v.Data)
			if err != nil {
				return nil, fmt.Errorf("value %d of %.80q: %w", v.Index, handle, err)
			}
			values = append(values, identifier.Value{Index: v.Index, Type: v.Type, Data: data, TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions})
		}
		b.Handles[strings.ToUpper(handle)] = values
	}
	if len(b.Roots()) == 0 {
		return nil, fmt.Errorf("%s has no site in this bootstrap file: a client has nowhere to begin", RootHandle)
	}
	return b, nil
}

// Roots are the sites of the root, and those of the services that it names, as far as
// the file has them.
func (b *Bootstrap) Roots() []*Site {
	var sites []*Site
	seen := map[string]bool{}
	var from func(handle string, depth int)
	from = func(handle string, depth int) {
		if seen[handle] || depth > maxServiceDepth {
			return
		}
		seen[handle] = true
		for _, v := range b.Handles[handle] {
			switch {
			case v.Type == typeSite || v.Type == typeSite6:
				if s, err := ParseSite(v.Data); err == nil && len(sites) < MaxSites {
					sites = append(sites, s)
				}
			case v.Type == typeService:
				from(strings.ToUpper(string(v.Data)), depth+1)
			}
		}
	}
	from(RootHandle, 0)
	return sites
}

// readData reads the data of a value in one of its JSON forms.
func readData(raw json.RawMessage) ([]byte, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []byte(text), nil
	}
	var form struct {
		Format string          `json:"format"`
		Value  json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(raw, &form); err != nil {
		return nil, fmt.Errorf("data is a text, or has a format and a value: %w", err)
	}
	if form.Format == formatSite {
		s, err := readSite(form.Value)
		if err != nil {
			return nil, err
		}
		return s.Append(nil), nil
	}
	if form.Format == formatAdmin || form.Format == formatMembers || form.Format == formatKey {
		return nil, nil // nothing that leads anywhere
	}
	if err := json.Unmarshal(form.Value, &text); err != nil {
		return nil, fmt.Errorf("the value of data with format %.20q is a text", form.Format)
	}
	switch form.Format {
	case formatString:
		return []byte(text), nil
	case formatBase64:
		return base64.StdEncoding.DecodeString(text)
	case "hex":
		return hex.DecodeString(text)
	}
	return nil, fmt.Errorf("data has the format %.20q: it is string, base64, hex or site", form.Format)
}

// readSite reads the JSON form of a site, as [Site.Describe] gives it.
func readSite(raw json.RawMessage) (*Site, error) {
	var form siteJSON
	if err := json.Unmarshal(raw, &form); err != nil {
		return nil, fmt.Errorf("this is no site: %w", err)
	}
	if len(form.Servers) > maxServers || len(form.Attributes) > maxAttributes {
		return nil, fmt.Errorf("a site has at most %d servers and %d attributes", maxServers, maxAttributes)
	}
	s := &Site{Format: siteFormat, Serial: form.Serial, Primary: form.Primary, MultiPrimary: form.MultiPrimary, Filter: form.Filter, Hash: HashWhole}
	if _, err := fmt.Sscanf(form.Protocol, "%d.%d", &s.Version.Major, &s.Version.Minor); err != nil {
		s.Version = Version{2, 1}
	}
	switch strings.ToLower(form.Hash) {
	case "byprefix":
		s.Hash = HashPrefix
	case "bysuffix":
		s.Hash = HashSuffix
	case "", "bywhole", "byall", "bywholehandle":
	default:
		return nil, fmt.Errorf("hashOption %.40q is unknown: it is byPrefix, bySuffix, or left out", form.Hash)
	}
	for _, a := range form.Attributes {
		s.Attributes = append(s.Attributes, Attribute(a))
	}
	for i := range form.Servers {
		d := &form.Servers[i]
		ip, err := netip.ParseAddr(d.Address)
		if err != nil {
			return nil, fmt.Errorf("the address of server %d is %.80q, which is none", d.ID, d.Address)
		}
		server := SiteServer{ID: d.ID, Address: addressOf(ip)}
		if d.Key != nil {
			if server.Key, err = readKey(d.Key); err != nil {
				return nil, fmt.Errorf("the key of server %d: %w", d.ID, err)
			}
		}
		if len(d.Interfaces) > maxInterfaces {
			return nil, fmt.Errorf("server %d has more than %d interfaces", d.ID, maxInterfaces)
		}
		for _, f := range d.Interfaces {
			if f.Port > math.MaxUint16 {
				return nil, fmt.Errorf("server %d has the port %d: one is at most 65535", d.ID, f.Port)
			}
			one := Interface{Port: f.Port, Protocol: transportNamed(f.Protocol)}
			if f.Query {
				one.Kind |= interfaceQuery
			}
			if f.Admin {
				one.Kind |= interfaceAdmin
			}
			server.Interfaces = append(server.Interfaces, one)
		}
		s.Servers = append(s.Servers, server)
	}
	return s, nil
}

// readKey reads a JSON Web Key (RFC 7517), or one in base64, as HS_PUBKEY has it.
func readKey(d *dataJSON) ([]byte, error) {
	if text, ok := d.Value.(string); ok && d.Format == formatBase64 {
		return base64.StdEncoding.DecodeString(text)
	}
	form, _ := d.Value.(map[string]any)
	names := map[any][]string{"RSA": {typeRSA, "e", "n"}, "DSA": {typeDSA, "q", "p", "g", "y"}}[form["kty"]]
	if names == nil {
		return nil, fmt.Errorf("a key is of the kind RSA or DSA, not %.40v", form["kty"])
	}
	k := PublicKey{Type: names[0]}
	for _, name := range names[1:] {
		text, _ := form[name].(string)
		number, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(number) == 0 {
			return nil, fmt.Errorf("its number %s is no base64url", name)
		}
		if number[0]&0x80 != 0 {
			number = append([]byte{0}, number...) // two's complement
		}
		k.Parts = append(k.Parts, number)
	}
	return k.Append(nil), nil
}

// transportNamed returns the transport with a name; one that nobody speaks when there is
// none.
func transportNamed(name string) Transport {
	for t, known := range transportNames {
		if strings.EqualFold(name, known) {
			return Transport(t)
		}
	}
	return Transport(math.MaxUint8)
}
