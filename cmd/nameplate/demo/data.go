package demo

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// size is how much a demo registers and asks, and where.
type size struct {
	network         string // the name of the file
	handles, others int    // equipment as Handles, and as each of OID, URL and DID
	second          int    // more of it, during whose import a node is killed
	sample          int    // identifiers of every scheme that are asked for
	singles         int    // that are registered one by one, to see how long each takes to the mirror
	every           int    // identifiers that are asked for at the end, at most
}

var (
	full  = size{network: "network.yaml", handles: 85_000, others: 5_000, second: 20_000, sample: 1_000, singles: 100, every: math.MaxInt}
	small = size{network: "network-small.yaml", handles: 8_500, others: 500, second: 20_000, sample: 100, singles: 50, every: 10_000}
)

// scheme is what is registered under one scheme, and how. Firms are made up: their
// domains end in .example (RFC 2606), the OIDs are below the arc for examples, 2.999,
// and so is the DID method.
type scheme struct {
	name string
	// prefix is what all identifiers lie below; equipment with Handles is divided among
	// all nodes that have a prefix below it.
	prefix   identifier.Prefix
	columns  []string
	mapping  func(im *imported) []string // how import is told to read a file
	says     func(im *imported, row []string) saying
	redirect int // the status with which a node redirects; 0 where that is not asked
}

// saying is what a row of a CSV file says about an identifier.
type saying struct {
	spelling, link, description string
	path                        string // of the redirect
}

// equipment are the columns of a file with equipment.
var equipment = []string{"vendor", "model", "serial", "description"}

// schemes are all of them. The mapping of each tells import in templates what says
// tells the comparison in Go.
var schemes = []*scheme{
	{
		name: "GS1", prefix: "gs1", redirect: 307, columns: []string{"gtin", "brand", "name", "size"},
		mapping: func(im *imported) []string {
			return []string{"--id", "gs1:{gtin}",
				"--link", "https://" + im.firm + ".example/p/{gtin}; rel=gs1:pip; title={name}; lang=en; default", "--value", "DESC={name}"}
		},
		says: func(im *imported, row []string) saying {
			return saying{"gs1:" + row[0], "https://" + im.firm + ".example/p/" + row[0], row[2], "/01/" + row[0]}
		},
	},
	handles,
	{
		name: "OID", prefix: "oid.2.999.118", columns: []string{"vendor", "model", "class", "unit", "description"},
		mapping: func(im *imported) []string {
			return []string{"--id", "oid:2.999.118.{class}.{unit}",
				"--link", "https://" + im.firm + ".example/type/{class}/unit/{unit}", "--value", "DESC={description}"}
		},
		says: func(im *imported, row []string) saying {
			return saying{spelling: "oid:2.999.118." + row[2] + "." + row[3],
				link: "https://" + im.firm + ".example/type/" + row[2] + "/unit/" + row[3], description: row[4]}
		},
	},
	{
		name: "URL", prefix: "web.example.halden", columns: equipment,
		mapping: func(im *imported) []string {
			return []string{"--id", "https://halden.example/t/{model}?sn={serial}",
				"--link", "https://docs." + im.firm + ".example/{model}/{serial}", "--value", "DESC={description}"}
		},
		says: func(im *imported, row []string) saying {
			return saying{spelling: "https://halden.example/t/" + escaped(row[1]) + "?sn=" + escaped(row[2]),
				link: "https://docs." + im.firm + ".example/" + escaped(row[1]) + "/" + escaped(row[2]), description: row[3]}
		},
	},
	{
		name: "DID", prefix: "did.example", columns: equipment,
		mapping: func(im *imported) []string {
			return []string{"--id", "did:example:halden:{model}:{serial}",
				"--link", "https://id." + im.firm + ".example/{serial}?model={model}", "--value", "DESC={description}"}
		},
		says: func(im *imported, row []string) saying {
			return saying{spelling: "did:example:halden:" + escaped(row[1]) + ":" + escaped(row[2]),
				link: "https://id." + im.firm + ".example/" + escaped(row[2]) + "?model=" + escaped(row[1]), description: row[3]}
		},
	},
}

// handles is the scheme of what is registered besides, too.
var handles = &scheme{
	name: "Handle", prefix: "88", redirect: 302, columns: equipment,
	mapping: func(im *imported) []string {
		return []string{"--id", string(im.prefix) + "/{model}-{serial}",
			"--link", "https://" + im.firm + ".example/e/{model}/{serial}", "--value", "DESC={description}"}
	},
	says: func(im *imported, row []string) saying {
		suffix := row[1] + "-" + row[2]
		return saying{string(im.prefix) + "/" + suffix, "https://" + im.firm + ".example/e/" + escaped(row[1]) + "/" + escaped(row[2]), row[3],
			"/" + string(im.prefix) + "/" + escaped(suffix)}
	},
}

// escaped writes a field as a part of a URI: what is not unreserved (RFC 3986,
// section 2.3) is percent-encoded.
func escaped(field string) string {
	var b strings.Builder
	for _, c := range []byte(field) {
		if c < 0x80 && strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// imported is what is registered under one scheme at one node.
type imported struct {
	*scheme
	node    *network.Node     // that answers for it
	prefix  identifier.Prefix // that all rows lie below
	firm    string            // that holds it, as the network names it
	path    string            // of the file
	results string            // what import said of every row
	rows    [][]string        // of the file, without the names of the columns
	outcome outcome
}

// saysOf returns what a row says.
func (im *imported) saysOf(row int) saying { return im.says(im, im.rows[row]) }

// writeData writes the CSV files.
func (d *demo) writeData(context.Context) error {
	s := d.tell.step("data")
	products, err := readCSV(filepath.Join(d.Testdata, "products.csv"), schemes[0].columns...)
	if err != nil {
		return err
	}
	if d.models, err = readCSV(filepath.Join(d.Testdata, "equipment.csv"), "vendor", "model", "description"); err != nil {
		return err
	}
	for _, scheme := range schemes {
		switch scheme.name {
		case "GS1":
			err = d.divideProducts(scheme, products)
		case "Handle":
			d.divideEquipment(scheme)
		case "OID":
			d.newImport(scheme, scheme.prefix).rows = d.numbered(d.size.others)
		default:
			d.newImport(scheme, scheme.prefix).rows = d.pieces(d.size.others)
		}
		if err != nil {
			return err
		}
	}
	owners := map[string]bool{}
	for _, im := range d.imports {
		if err := im.write(); err != nil {
			return err
		}
		owners[im.node.Name] = true
	}
	s.done("%s products by GS1 prefix, and %s pieces of equipment of %s models, for %d nodes",
		count(len(products)), count(d.made), count(len(d.models)), len(owners))
	return nil
}

// divideProducts gives every product to the node that answers for its GS1 prefix.
func (d *demo) divideProducts(s *scheme, products [][]string) error {
	of := map[string]*imported{}
	for n, row := range products {
		id, err := identifier.Parse("gs1:" + row[0])
		if err != nil {
			return fmt.Errorf("row %d of products.csv: %w", n+1, err)
		}
		node := d.net.Responsible(id.Prefix)
		if node == nil {
			return fmt.Errorf("row %d of products.csv: no node of the network answers for %s", n+1, id.Prefix)
		}
		im := of[node.Name]
		if im == nil {
			im = d.newImport(s, d.prefixOf(node, id.Prefix))
			of[node.Name] = im
		}
		im.rows = append(im.rows, row)
	}
	return nil
}

// prefixOf returns the longest prefix of a node that covers another.
func (d *demo) prefixOf(x *network.Node, p identifier.Prefix) (longest identifier.Prefix) {
	for _, q := range x.Prefixes {
		if q.Covers(p) && q.Depth() > longest.Depth() {
			longest = q
		}
	}
	return longest
}

// divideEquipment gives every node that has a prefix below the scheme's an equal part
// of the equipment.
func (d *demo) divideEquipment(s *scheme) {
	var prefixes []identifier.Prefix
	for _, x := range d.net.Nodes {
		for _, p := range x.Prefixes {
			if s.prefix.Covers(p) {
				prefixes = append(prefixes, p)
			}
		}
	}
	for i, p := range prefixes {
		d.newImport(s, p).rows = d.pieces(d.size.handles*(i+1)/len(prefixes) - d.size.handles*i/len(prefixes))
	}
}

// newImport adds an import to those that there are.
func (d *demo) newImport(s *scheme, p identifier.Prefix) *imported {
	im := d.fileFor(s, p, "")
	d.imports = append(d.imports, im)
	return im
}

// fileFor prepares an import that is not among the others yet.
func (d *demo) fileFor(s *scheme, p identifier.Prefix, mark string) *imported {
	x := d.net.Responsible(p)
	name := fmt.Sprintf("%s-%s%s", x.Name, strings.ToLower(s.name), mark)
	return &imported{
		scheme: s, node: x, prefix: p, firm: d.net.Holds(p),
		path: d.path("csv", name+".csv"), results: d.path("csv", name+".results.csv"),
	}
}

// write writes the file of an import.
func (im *imported) write() error {
	f, err := os.Create(im.path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := csv.NewWriter(buffered)
	return errors.Join(w.Write(im.columns), w.WriteAll(im.rows), buffered.Flush(), f.Close())
}

// pieces makes the next pieces of equipment: vendor, model, serial, description.
func (d *demo) pieces(n int) [][]string {
	rows := make([][]string, n)
	for i := range rows {
		m := d.models[d.made%len(d.models)]
		rows[i] = []string{m[0], m[1], serial(d.made), m[2]}
		d.made++
	}
	return rows
}

// numbered makes the next pieces of equipment with numbers alone, as an OID needs:
// vendor, model, class, unit, description.
func (d *demo) numbered(n int) [][]string {
	rows := make([][]string, n)
	for i := range rows {
		class := d.made % len(d.models)
		m := d.models[class]
		rows[i] = []string{m[0], m[1], strconv.Itoa(class + 1), strconv.Itoa(d.made), m[2]}
		d.made++
	}
	return rows
}

// serial returns the serial number of a piece: year and week of its making, and a
// running number.
func serial(n int) string { return fmt.Sprintf("%02d%02d-%06d", 19+n%7, 1+n%52, n) }

// restricted counts the products with a GTIN-8 for restricted circulation (GS1
// General Specifications, section 1.4.4).
func restricted(products [][]string) (n int) {
	for _, p := range products {
		if gtin8, ok := strings.CutPrefix(p[0], "000000"); ok && (gtin8[0] == '0' || gtin8[0] == '2') {
			n++
		}
	}
	return n
}

// readCSV reads a file that has these columns.
func readCSV(path string, columns ...string) ([][]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: run the demo in the root of the repository, or say --testdata FOLDER", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(bufio.NewReader(f)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) == 0 || strings.Join(rows[0], ",") != strings.Join(columns, ",") {
		return nil, fmt.Errorf("%s: the columns are not %s", path, strings.Join(columns, ", "))
	}
	return rows[1:], nil
}
