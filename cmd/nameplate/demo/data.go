package demo

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// size is how much a demo registers and asks.
type size struct {
	handles, others int // equipment as Handles, and as each of OID, URL and DID
	second          int // more of it, during whose import the node is killed
	sample          int // identifiers of every scheme that are asked for
}

var (
	full  = size{handles: 85_000, others: 5_000, second: 20_000, sample: 1_000}
	small = size{handles: 8_500, others: 500, second: 20_000, sample: 100}
)

// holder is somebody who got prefixes. All are made up: their domains end in .example
// (RFC 2606), the OID is below the arc for examples, 2.999, and so is the DID method.
type holder struct {
	name, title string
	prefixes    []string
}

var holders = []holder{
	{"larkspur", "Larkspur Grocers", []string{"gs1"}},
	{"brightwater", "Brightwater Works", []string{"88.118.8"}},
	{"halden", "Halden Instruments", []string{"oid.2.999.118", "web.example.halden", "did.example"}},
}

func prefixes() (n int) {
	for _, h := range holders {
		n += len(h.prefixes)
	}
	return n
}

// scheme is what is registered under one scheme, and how.
type scheme struct {
	name     string
	holder   string
	prefix   string
	file     string   // its name
	mapping  []string // how import is told to read it
	says     func(row []string) saying
	redirect int // the status with which the node redirects; 0 where that is not asked
}

// saying is what a row of a CSV file says about an identifier.
type saying struct {
	spelling, link, description string
	path                        string // of the redirect
}

// schemes are all of them. The mapping of each tells import in templates what says
// tells the comparison in Go.
var schemes = []scheme{
	{
		name: "GS1", holder: "larkspur", prefix: "gs1", file: "products.csv", redirect: 307,
		mapping: []string{"--id", "gs1:{gtin}",
			"--link", "https://larkspur.example/p/{gtin}; rel=gs1:pip; title={name}; lang=en; default", "--value", "DESC={name}"},
		says: func(row []string) saying { // gtin, brand, name, size
			return saying{"gs1:" + row[0], "https://larkspur.example/p/" + row[0], row[2], "/01/" + row[0]}
		},
	},
	{
		name: "Handle", holder: "brightwater", prefix: "88.118.8", file: "handles.csv", redirect: 302,
		mapping: []string{"--id", "88.118.8/{model}-{serial}", "--link", "https://brightwater.example/e/{model}/{serial}", "--value", "DESC={description}"},
		says:    handleSays,
	},
	{
		name: "OID", holder: "halden", prefix: "oid.2.999.118", file: "oids.csv",
		mapping: []string{"--id", "oid:2.999.118.{class}.{unit}", "--link", "https://halden.example/type/{class}/unit/{unit}", "--value", "DESC={description}"},
		says: func(row []string) saying { // vendor, model, class, unit, description
			return saying{spelling: "oid:2.999.118." + row[2] + "." + row[3],
				link: "https://halden.example/type/" + row[2] + "/unit/" + row[3], description: row[4]}
		},
	},
	{
		name: "URL", holder: "halden", prefix: "web.example.halden", file: "urls.csv",
		mapping: []string{"--id", "https://halden.example/t/{model}?sn={serial}", "--link", "https://docs.halden.example/{model}/{serial}", "--value", "DESC={description}"},
		says: func(row []string) saying { // vendor, model, serial, description
			return saying{spelling: "https://halden.example/t/" + escaped(row[1]) + "?sn=" + escaped(row[2]),
				link: "https://docs.halden.example/" + escaped(row[1]) + "/" + escaped(row[2]), description: row[3]}
		},
	},
	{
		name: "DID", holder: "halden", prefix: "did.example", file: "dids.csv",
		mapping: []string{"--id", "did:example:halden:{model}:{serial}", "--link", "https://id.halden.example/{serial}?model={model}", "--value", "DESC={description}"},
		says: func(row []string) saying { // vendor, model, serial, description
			return saying{spelling: "did:example:halden:" + escaped(row[1]) + ":" + escaped(row[2]),
				link: "https://id.halden.example/" + escaped(row[2]) + "?model=" + escaped(row[1]), description: row[3]}
		},
	},
}

// handles is the scheme of the second import, too.
const handles = 1

func handleSays(row []string) saying { // vendor, model, serial, description
	return saying{"88.118.8/" + row[1] + "-" + row[2], "https://brightwater.example/e/" + escaped(row[1]) + "/" + escaped(row[2]), row[3],
		"/88.118.8/" + escaped(row[1]+"-"+row[2])}
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

// imported is one file that import was given.
type imported struct {
	*scheme
	path    string
	results string     // what import said of every row
	rows    [][]string // of the file, without the names of the columns
	outcome outcome
	asked   []*asked // one a protocol
}

// writeData writes the CSV files.
func (d *demo) writeData(context.Context) error {
	s := d.tell.step("data")
	products, err := readCSV(filepath.Join(d.Testdata, "products.csv"), "gtin", "brand", "name", "size")
	if err != nil {
		return err
	}
	if d.models, err = readCSV(filepath.Join(d.Testdata, "equipment.csv"), "vendor", "model", "description"); err != nil {
		return err
	}
	for i := range schemes {
		im := d.newImport(&schemes[i], schemes[i].file)
		d.imports = append(d.imports, im)
		switch im.name {
		case "GS1":
			im.path, im.rows = filepath.Join(d.Testdata, "products.csv"), products
			continue
		case "Handle":
			im.rows = d.pieces(d.size.handles)
		case "OID":
			im.rows = d.numbered(d.size.others)
		default:
			im.rows = d.pieces(d.size.others)
		}
		if err := im.write(); err != nil {
			return err
		}
	}
	s.done("%s products, and %s pieces of equipment of %s models, in %s",
		count(len(products)), count(d.made), count(len(d.models)), d.Folder)
	return nil
}

func (d *demo) newImport(s *scheme, file string) *imported {
	return &imported{scheme: s, path: d.path(file), results: d.path(strings.TrimSuffix(file, ".csv") + ".results.csv")}
}

// write writes the file of an import.
func (im *imported) write() error {
	columns := []string{"vendor", "model", "serial", "description"}
	if im.name == "OID" {
		columns = []string{"vendor", "model", "class", "unit", "description"}
	}
	f, err := os.Create(im.path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := csv.NewWriter(buffered)
	err = errors.Join(w.Write(columns), w.WriteAll(im.rows), buffered.Flush(), f.Close())
	return err
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
