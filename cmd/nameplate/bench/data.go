//go:build linux

package bench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/miekg/dns"

	"github.com/nameplate-id/nameplate/registry/identifier"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
)

const (
	// zoneName is the zone that the peers serve and the node's default one.
	zoneName = "id.internal."
	// served is the prefix of the identifiers that are asked for.
	served identifier.Prefix = "88.118.7"
)

// data are the identifiers that are asked for: serial numbers with gaps, each with
// one link of about 100 octets.
type data int

func (d data) serial(i int) string { return fmt.Sprintf("sn-%010d", i*997%1e10) }

// id returns an identifier. They ascend with i, and are all different, up to ten million.
func (d data) id(i int) identifier.ID {
	return identifier.ID{Prefix: served, Suffix: d.serial(i)}
}

func (d data) link(i int) string { return linkOf(d.serial(i)) }

func linkOf(serial string) string {
	return "https://resolve.factory-88.example.net/v1/objects/88.118.7/" + serial + "/nameplate?rev=3&from=label"
}

// ttl is that of every record.
const ttl = 86400

// row returns the registration of an identifier with its link.
func row(id identifier.ID, link string) identifier.Row {
	return identifier.Row{Op: identifier.Put, ID: id, Version: 1, Values: []identifier.Value{{
		Index: 1, Type: "URL", Data: []byte(link),
		TTL: identifier.TTL{Seconds: ttl}, Permissions: identifier.DefaultPermissions,
	}}}
}

// writeZone writes the same data as a zone file for name servers.
func (d data) writeZone(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintf(w, "$ORIGIN %s\n$TTL %d\n@ SOA node._ns hostmaster 1 3600 600 1209600 30\n@ NS node._ns\nnode._ns A 127.0.0.1\n", zoneName, ttl)
	zone := resolverdns.MustParseZone(zoneName)
	for i := range int(d) {
		fmt.Fprintf(w, "%s URI 1 1 \"%s\"\n", zone.Name(d.id(i)), d.link(i))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// queries are the datagrams that ask for the link of each identifier: type URI, no
// EDNS. They all have the same length.
type queries struct {
	packets []byte
	size    int
	// idAt is where the 16 bits of a question's id stand, bad whether an answer is none
	// to it by how it begins.
	idAt int
	bad  func(answer []byte) bool
}

func (d data) queries() queries { return d.links().queries() }

// linked are identifiers with a link each.
type linked struct {
	count int
	id    func(i int) identifier.ID
	link  func(i int) string
}

func (d data) links() linked { return linked{int(d), d.id, d.link} }

func (l linked) queries() queries {
	q := queries{bad: notFound}
	zone := resolverdns.MustParseZone(zoneName)
	for i := range l.count {
		// id 0, no flags, one question
		q.packets = append(q.packets, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
		q.packets = zone.AppendName(q.packets, l.id(i))
		q.packets = binary.BigEndian.AppendUint16(q.packets, dns.TypeURI)
		q.packets = binary.BigEndian.AppendUint16(q.packets, dns.ClassINET)
		if i == 0 {
			q.size = len(q.packets)
			whole := make([]byte, 0, q.size*l.count)
			q.packets = append(whole, q.packets...)
		}
	}
	return q
}

func (q *queries) packet(i uint32) []byte { return q.packets[int(i)*q.size:][:q.size] }

// draws is how many questions are drawn before they repeat.
func (d data) draws() int { return max(1<<21, int(d)) }

// uniform draws every identifier with the same chance.
func (d data) uniform() []uint32 {
	random := rand.New(rand.NewPCG(88, 118))
	drawn := make([]uint32, d.draws())
	for i := range drawn {
		drawn[i] = random.Uint32N(uint32(d))
	}
	return drawn
}

// zipf draws few identifiers very often: the k-th in a shuffled order with a chance
// in proportion to k^-1.1.
func (d data) zipf() []uint32 {
	random := rand.New(rand.NewPCG(88, 119))
	order := random.Perm(int(d))
	ranks := rand.NewZipf(random, 1.1, 1, uint64(d)-1)
	drawn := make([]uint32, d.draws())
	for i := range drawn {
		drawn[i] = uint32(order[ranks.Uint64()])
	}
	return drawn
}
