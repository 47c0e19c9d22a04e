package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
)

// table tells the figures of the run.
func (d *demo) table() {
	columns := []string{"DNS", "gRPC", "HTTP", redirects}
	head := fmt.Sprintf("  %-7s %11s %13s", "scheme", "identifiers", "registered/s")
	for _, c := range columns {
		head += fmt.Sprintf("  %17s", c)
	}
	rule := "  " + strings.Repeat("─", len(head)-2)
	d.tell.line("")
	d.tell.line("%s", d.tell.color("2", fmt.Sprintf("  %-33s   right answers; how long half and 99 of 100 of them took at most, in ms", "")))
	d.tell.line("%s", d.tell.color("1", head))
	d.tell.line("%s", rule)
	for _, im := range d.imports[:len(schemes)] {
		line := fmt.Sprintf("  %-7s %11s %13s", im.name, count(len(im.rows)), count(rate(len(im.rows), seconds64(im.outcome.Seconds))))
		for _, c := range columns {
			line += "  " + im.cell(c)
		}
		d.tell.line("%s", line)
	}
	d.tell.line("%s", rule)
	f := &d.figures
	d.tell.line("  %-7s %11s %13s   in %s, %d imports at a time; %d questions at a time", "all",
		count(f.registered), count(rate(f.registered, f.imported)), seconds(f.imported), len(holders), askers)
	d.tell.line("")
	for _, row := range [][2]string{
		{"durability", fmt.Sprintf("killed with SIGKILL, answering again %s after its start; %s of %s acknowledged rows lost",
			milliseconds(f.restart), count(0), count(f.asked))},
		{"disk", fmt.Sprintf("%s: journal %s, state %s, the rest set aside; %s octets in use an identifier",
			megabytes(f.disk.allocated), megabytes(f.disk.journal), megabytes(f.disk.state),
			count(int(f.disk.journal+f.disk.state)/f.identifiers))},
		{"time", fmt.Sprintf("%s in all; seed %d (--seed %d draws the same sample)", seconds(time.Since(d.started)), d.Seed, d.Seed)},
	} {
		d.tell.line("  %-12s %s", row[0], row[1])
	}
}

// cell tells how one scheme was answered over one protocol.
func (im *imported) cell(protocol string) string {
	for _, a := range im.asked {
		if a.protocol == protocol {
			return fmt.Sprintf("%5s  %4s %5s", count(len(a.took)), fraction(a.quantile(0.5)), fraction(a.quantile(0.99)))
		}
	}
	return fmt.Sprintf("%17s", "")
}

func fraction(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

func seconds64(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// commands tells where the node is and what to type; all of it works.
func (d *demo) commands() error {
	at := d.node.at
	web := "http://" + at.at(at.http)
	product, equipment, unit, tag := d.imports[0], d.imports[1], d.imports[2], d.imports[3]
	handle := equipment.says(equipment.rows[0]).spelling
	id, err := identifier.Parse(handle)
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(resolverdns.MustParseZone(resolverdns.DefaultZone).Name(id), ".")
	d.tell.line("")
	if d.Keep {
		d.tell.line("The node is running: DNS %s, gRPC %s, HTTP %s. Stop it with: kill %d", at.at(at.dns), at.at(at.grpc), at.at(at.http), d.node.pid())
		d.tell.line("Try:")
	} else {
		d.tell.line("Start the node again (make demo KEEP=1 leaves it running), and try:")
		d.tell.line("")
		d.tell.line("  %s %s", d.Program, strings.Join(d.node.arguments(), " "))
	}
	d.tell.line("")
	gtin := product.rows[len(product.rows)*5/6][0]
	for _, command := range []string{
		fmt.Sprintf("dig @%s -p %d %s URI", at.host, at.dns, name),
		fmt.Sprintf("curl -i %s/01/%s", web, gtin),
		fmt.Sprintf("curl %s/resolve/%s", web, strings.TrimPrefix(unit.says(unit.rows[0]).spelling, "oid:")),
		fmt.Sprintf("%s resolve --server %s '(01)%s'", d.Program, d.node.server(), gtin),
		fmt.Sprintf("%s resolve --server dns://%s '%s'", d.Program, at.at(at.dns), tag.says(tag.rows[0]).spelling),
	} {
		d.tell.line("  %s", command)
	}
	return nil
}
