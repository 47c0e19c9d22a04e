package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry/identifier"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
)

// table tells the figures of the run.
func (d *demo) table() {
	columns := []string{"DNS", "gRPC", "HTTP", "Handle", redirects}
	head := fmt.Sprintf("  %-7s %11s %6s", "scheme", "identifiers", "nodes")
	for _, c := range columns {
		head += fmt.Sprintf("  %17s", c)
	}
	rule := "  " + strings.Repeat("─", len(head)-2)
	d.tell.line("")
	d.tell.line("%s", d.tell.color("2", fmt.Sprintf("  %-26s   right answers by a walk; how long half and 99 of 100 took at most, in ms", "")))
	d.tell.line("%s", d.tell.color("1", head))
	d.tell.line("%s", rule)
	for _, s := range schemes {
		rows, nodes := 0, map[string]bool{}
		for _, im := range d.imports {
			if im.scheme == s {
				rows += len(im.rows)
				nodes[im.node.Name] = true
			}
		}
		line := fmt.Sprintf("  %-7s %11s %6d", s.name, count(rows), len(nodes))
		for _, c := range columns {
			line += "  " + d.cell(s, c)
		}
		d.tell.line("%s", line)
	}
	d.tell.line("%s", rule)
	f := &d.figures
	d.tell.line("  %-7s %11s %6d   %d questions at a time; from the cache, over DNS: half within %s ms, 99 of 100 within %s", "all",
		count(f.identifiers), len(nodesOf(d.imports)), askers, fraction(quantile(f.cached.took, 0.5)), fraction(quantile(f.cached.took, 0.99)))
	d.tell.line("")
	for _, row := range [][2]string{
		{"import", fmt.Sprintf("%s identifiers in %s, %s a second, signed by their holders and synced", count(f.registered), seconds(f.imported), count(rate(f.registered, f.imported)))},
		{"mirrors", fmt.Sprintf("an entry is in the parent's within %s ms (half) and %s ms (99 of 100) of its acknowledgement", fraction(quantile(f.idle, 0.5)), fraction(quantile(f.idle, 0.99)))},
		{"failover", fmt.Sprintf("%s and %s after SIGKILL the parent answers, %s and %s after the start the node does", milliseconds(f.down[0]), milliseconds(f.down[1]), milliseconds(f.back[0]), milliseconds(f.back[1]))},
		{"durability", fmt.Sprintf("killed in an import, answering again %s after its start; %s of %s acknowledged rows lost", milliseconds(f.restart), count(0), count(f.kept))},
		{"memory", fmt.Sprintf("%s at most, for all %d nodes, the imports and the demo; %s the largest process", megabytes(d.memory.most), len(d.net.Nodes), megabytes(d.memory.largest))},
		{"disk", fmt.Sprintf("%s, most of it set aside for journals", megabytes(f.disk))},
		{"time", fmt.Sprintf("%s in all; seed %d (--seed %d draws the same sample)", seconds(time.Since(d.started)), d.Seed, d.Seed)},
	} {
		d.tell.line("  %-12s %s", row[0], row[1])
	}
}

// cell tells how one scheme was answered over one protocol.
func (d *demo) cell(s *scheme, protocol string) string {
	for _, a := range d.asked {
		if a.scheme == s && a.protocol == protocol {
			return fmt.Sprintf("%5s  %4s %5s", count(len(a.took)), fraction(quantile(a.took, 0.5)), fraction(quantile(a.took, 0.99)))
		}
	}
	return fmt.Sprintf("%17s", "")
}

func fraction(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// commands tells where the nodes are and what to type; all of it works.
func (d *demo) commands() error {
	x := d.walker
	product, equipment, tag := d.first("GS1"), d.first("Handle"), d.first("URL")
	handle := equipment.says().spelling
	id, err := identifier.Parse(handle)
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(resolverdns.MustParseZone(resolverdns.DefaultZone).Name(id), ".")
	d.tell.line("")
	if d.Keep {
		d.tell.line("The nodes are running. Stop them with: %s", d.downCommand())
		d.tell.line("Try:")
	} else {
		d.tell.line("Start the nodes again (make demo KEEP=1 leaves them running), and try:")
		d.tell.line("")
		d.tell.line("  %s network up --folder %s", d.Program, d.networkFolder())
	}
	d.tell.line("")
	for _, command := range []string{
		fmt.Sprintf("%s network status --folder %s", d.Program, d.networkFolder()),
		fmt.Sprintf("%s resolve --trace --server %s '%s'", d.Program, d.net.Server(d.net.With(network.TopLevel)[0], "grpc"), handle),
		fmt.Sprintf("%s resolve --server %s '%s'", d.Program, d.net.Server(x, "dns"), tag.says().spelling),
		fmt.Sprintf("%s resolve --server %s '%s'", d.Program, d.net.Server(x, "handle"), handle),
		fmt.Sprintf("dig @%v -p %d %s URI", x.Address, d.net.Ports.DNS, name),
		fmt.Sprintf("curl -i %s%s", d.net.Server(x, "http"), product.says().path),
	} {
		d.tell.line("  %s", command)
	}
	return nil
}

// first returns a row of a scheme, of the largest import: there are few with products
// of one firm alone.
func (d *demo) first(name string) row {
	var largest *imported
	for _, im := range d.imports {
		if im.name == name && (largest == nil || len(im.rows) > len(largest.rows)) {
			largest = im
		}
	}
	return row{largest, len(largest.rows) * 5 / 6}
}
