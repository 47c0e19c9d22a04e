package identifier_test

import (
	"net/netip"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"pgregory.net/rapid"
)

// What the property tests draw from: everything that can be encoded, valid by the
// rules or not, in the form in which decoders return it.

func drawOctets(t *rapid.T, name string, least, most int) []byte {
	b := rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, name)
	if len(b) == 0 {
		return nil
	}
	return b
}

func drawText(t *rapid.T, name string, least, most int) string {
	return string(drawOctets(t, name, least, most))
}

func drawHash(t *rapid.T, name string) identifier.Hash {
	return identifier.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
}

const lastSecond = 253402300799

func drawSecond(t *rapid.T, name string, least int64) time.Time {
	return time.Unix(rapid.Int64Range(least, lastSecond).Draw(t, name), 0).UTC()
}

func drawMillisecond(t *rapid.T, name string) time.Time {
	return time.UnixMilli(rapid.Int64Range(0, lastSecond*1000+999).Draw(t, name)).UTC()
}

func drawPublicKey(t *rapid.T, name string) identifier.PublicKey {
	if rapid.Bool().Draw(t, name+" is ed25519") {
		return identifier.PublicKey{Type: identifier.Ed25519, Raw: drawText(t, name, 32, 32)}
	}
	if rapid.Bool().Draw(t, name+" is RSA") {
		return sampleRSA()
	}
	return identifier.PublicKey{Type: identifier.KeyType(rapid.IntRange(3, 255).Draw(t, name+" type")), Raw: drawText(t, name, 1, 99)}
}

// rsaText is an RSA key of 2,048 bits, made for the tests.
const rsaText = "rsa:MIIBCgKCAQEAuw0R+gw4qsZl/OIwyOjWLOJvBsYvSY2KZY889RqQ7cnmeROUA6f6PD3JmXsebLmg78Q2m9D+AMiXIoDrS8VCXHyy6SQKN5FTfKWxofm2n/QkLnt6uCHPtgZ9odUlf43WG/q2GSj/dpO0Ny346CVLqaFTbsOwD54tSuPMFwWTEw7qBejJMZb1Whfy+I+S8We2ICECoUj31BU00X0hUwFGx6tPvC/l4BxekNhF0a+o3wU2hN5RFv9p93/ODMkX/gnrNso3saEwf+fBXPrDlRJ05ssG/opmEyM+t+2b7e+QaZoCf+IteslVB3RTorR6A/4KnU4WfUj7+eVFswybSp9FxwIDAQAB"

func sampleRSA() identifier.PublicKey {
	k, err := identifier.ParsePublicKey(rsaText)
	if err != nil {
		panic(err) // the text above was changed
	}
	return k
}

func drawKeyset(t *rapid.T, least int) identifier.Keyset {
	k := identifier.Keyset{Version: rapid.Uint64().Draw(t, "keyset version"), Threshold: rapid.IntRange(0, 16).Draw(t, "threshold")}
	for range rapid.IntRange(least, 4).Draw(t, "keys") {
		k.Keys = append(k.Keys, drawPublicKey(t, "key"))
	}
	return k
}

func drawDelegation(t *rapid.T) *identifier.Delegation {
	d := &identifier.Delegation{
		Prefix:   identifier.Prefix(drawText(t, "prefix", 0, 126)),
		Epoch:    rapid.Uint64().Draw(t, "epoch"),
		Keyset:   drawKeyset(t, 0),
		NoAgents: rapid.Bool().Draw(t, "no agents"),
		Private:  rapid.Bool().Draw(t, "private"),
	}
	if rapid.Bool().Draw(t, "has a node") {
		d.Node = drawNode(t)
	}
	for range rapid.IntRange(0, identifier.MaxMirrors).Draw(t, "mirrors") {
		d.Mirrors = append(d.Mirrors, *drawNode(t))
	}
	return d
}

func drawNode(t *rapid.T) *identifier.Node {
	n := &identifier.Node{Name: drawText(t, "name", 0, 63), Key: drawPublicKey(t, "node key")}
	if rapid.Bool().Draw(t, "has a Handle key") {
		n.HandleKey = drawPublicKey(t, "Handle key")
	}
	for range rapid.IntRange(1, 4).Draw(t, "addresses") {
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "address size")
		ip, _ := netip.AddrFromSlice(drawOctets(t, "ip", size, size))
		port := func(name string) uint16 { return rapid.Uint16().Draw(t, name) }
		n.Addresses = append(n.Addresses, identifier.Address{
			IP: ip.String(), DNS: port("dns"), GRPC: port("grpc"), HTTP: port("http"), Handle: port("handle"),
		})
	}
	return n
}

// drawValues draws values as they can be encoded; when valid, they also keep the
// rules of a change.
func drawValues(t *rapid.T, valid bool) []identifier.Value {
	var values []identifier.Value
	var index uint32
	marked := false
	for range rapid.IntRange(0, 5).Draw(t, "values") {
		index += rapid.Uint32Range(1, 1<<28).Draw(t, "index step")
		v := identifier.Value{
			Index: index, Type: drawText(t, "type", 1, 20), Data: drawOctets(t, "data", 0, 200),
			TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions,
		}
		url := rapid.Bool().Draw(t, "is a link")
		if valid {
			v.Type = rapid.StringMatching(`[!-~]{0,10}[!-\-/-~]`).Filter(func(s string) bool { return s != "URL" }).Draw(t, "type")
			if url {
				v.Type, v.Data = "URL", []byte(rapid.StringMatching(`[a-z][a-z0-9+.-]{0,5}:([!#$&-;=?-\[\]_a-z~]|%2F){1,60}`).Draw(t, "url"))
			}
		}
		if rapid.Bool().Draw(t, "has a TTL") {
			v.TTL = identifier.TTL{Absolute: rapid.Bool().Draw(t, "absolute"), Seconds: rapid.Uint32().Draw(t, "seconds")}
		}
		if rapid.Bool().Draw(t, "has permissions") {
			v.Permissions = identifier.Permissions(rapid.IntRange(0, 15).Draw(t, "permissions"))
		}
		if rapid.Bool().Draw(t, "has a timestamp") {
			v.Timestamp = drawSecond(t, "timestamp", 1)
		}
		if rapid.Bool().Draw(t, "has attributes") && (url || !valid) {
			v.Link = drawLink(t, valid)
			v.Link.Default = rapid.Bool().Draw(t, "default") && !(valid && marked)
			marked = marked || v.Link.Default
			if rapid.Bool().Draw(t, "has a relation") || (!v.Link.Default && v.Link.Title == "") {
				v.Link.Relation = "gs1:pip" // a link without any attribute reads back as none
			}
		}
		for range rapid.IntRange(0, 2).Draw(t, "references") {
			r := identifier.Reference{Handle: drawText(t, "handle", 1, 30), Index: rapid.Uint32().Draw(t, "reference index")}
			if valid {
				r.Handle = "10.1000/182"
			}
			v.References = append(v.References, r)
		}
		values = append(values, v)
	}
	return values
}

func drawLink(t *rapid.T, valid bool) *identifier.Link {
	if valid {
		l := &identifier.Link{Title: rapid.SampledFrom([]string{"", "Gebrauchsanweisung", "说明书"}).Draw(t, "title")}
		if rapid.Bool().Draw(t, "has languages") {
			l.Languages, l.MediaType = []string{"en", "zh-Hans", "x-own"}, "text/html; charset=utf-8"
		}
		return l
	}
	l := &identifier.Link{
		Title: drawText(t, "title", 0, 30), MediaType: drawText(t, "media type", 0, 30), Context: drawText(t, "context", 0, 30),
	}
	for range rapid.IntRange(0, 3).Draw(t, "languages") {
		l.Languages = append(l.Languages, drawText(t, "language", 1, 63))
	}
	return l
}

// drawRows draws the rows of a change under 88.118 that keeps all rules.
func drawRows(t *rapid.T, most int) []identifier.Row {
	suffixes := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9/%._~ -]{0,12}[a-z0-9]`), 1, most, rapid.ID[string]).Draw(t, "suffixes")
	var rows []identifier.Row
	for _, suffix := range suffixes {
		id, err := identifier.New("88.118", suffix)
		if err != nil {
			t.Fatalf("suffix %q: %v", suffix, err)
		}
		r := identifier.Row{Op: identifier.Put, ID: id, Version: 1}
		if rapid.Bool().Draw(t, "replaces") {
			r.Version = rapid.Uint64Range(2, 1<<40).Draw(t, "version")
			r.Replaces = drawHash(t, "replaces")
			r.Replaces[0] |= 1
		}
		if r.Version > 1 && rapid.Bool().Draw(t, "withdraws") {
			r.Op = identifier.Withdraw
		} else {
			r.Spelling = rapid.SampledFrom([]string{"", "hdl:88.118/X"}).Draw(t, "spelling")
			r.Values = drawValues(t, true)
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b identifier.Row) int { return identifier.Compare(a.ID, b.ID) })
	return rows
}
