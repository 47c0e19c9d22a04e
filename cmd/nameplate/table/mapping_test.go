package table_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// show writes a registration on one line.
func show(r table.Registration) string {
	var b strings.Builder
	b.WriteString(r.ID.String())
	for _, v := range r.Values {
		fmt.Fprintf(&b, " | %d:%s=%s", v.Index, v.Type, v.Data)
		if l := v.Link; l != nil {
			fmt.Fprintf(&b, " <%s|%s|%s|%s|%s|%v>", l.Relation, l.Title, strings.Join(l.Languages, ","), l.MediaType, l.Context, l.Default)
		}
		if v.TTL != identifier.DefaultTTL {
			fmt.Fprintf(&b, " %ds", v.TTL.Seconds)
		}
	}
	return b.String()
}

func TestMap(t *testing.T) {
	columns := []string{"model", "name", "lang", "url", "empty", "n", "gtin", "serial", "elements"}
	fields := []string{"TS 011/F é", "A; \"good\"\nlamp", "en-GB", "https://x.example/a b?q=%41#é", "", "7", "09506000134352", "a/b(1)%", "(01)09506000134352(21)x"}
	tests := []struct {
		name    string
		mapping table.Mapping
		want    string // what is shown, or how the error begins
	}{
		{"handle suffix takes slash and space", table.Mapping{ID: "88.118.8/{model}-{row}"}, "88.118.8/ts 011/f é-42"},
		{"handle by name", table.Mapping{ID: "hdl:88.118.8/{model}"}, "88.118.8/ts 011/f é"},
		{"path of a URL", table.Mapping{ID: "https://Maker.example/p/{model}"}, "web.example.maker//p/TS%20011%2FF%20%C3%A9"},
		{"trusted path of a URL", table.Mapping{ID: "web:http://maker.example/{+model}"}, "web.example.maker//TS%20011/F%20%C3%A9"},
		{"whole URL", table.Mapping{ID: "{url}"}, `"https://x.example/a b`},
		{"DID", table.Mapping{ID: "did:web:maker.example:{model}"}, "did.web/maker.example:TS%20011%2FF%20%C3%A9"},
		{"OID", table.Mapping{ID: "urn:oid:1.2.156.{row}.{n}"}, "oid.1.2.156.42.7"},
		{"GTIN", table.Mapping{ID: "gs1:{gtin}"}, "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010"},
		{"element string", table.Mapping{ID: "(01){gtin}(21){serial}"}, "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/a%2Fb(1)%25"},
		{"element string by name", table.Mapping{ID: "gs1:(01){gtin}(21){serial}"}, "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/a%2Fb(1)%25"},
		{"Digital Link", table.Mapping{ID: "https://id.gs1.org/01/{gtin}/21/{serial}"}, "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/a%2Fb(1)%25"},
		{"Digital Link path", table.Mapping{ID: "gs1:/01/{gtin}/21/{serial}"}, "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/a%2Fb(1)%25"},
		{"canonical text of GS1", table.Mapping{ID: "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/{serial}"}, "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/a%2Fb(1)%25"},
		{"whole element string", table.Mapping{ID: "gs1:{elements}"}, "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/x"},
		{"wrong check digit", table.Mapping{ID: "gs1:{gtin}{n}"}, `"gs1:095060001343527", octet `},
		{"braces", table.Mapping{ID: "88.118.8/{{{n}}}"}, "88.118.8/{7}"},
		{"empty field in the identifier", table.Mapping{ID: "88.118.8/{empty}{n}"}, `column "empty" is empty`},
		{"not an identifier", table.Mapping{ID: "88..8/{n}"}, `"88..8/7", octet 3`},
		{"control in the identifier", table.Mapping{ID: "88.118.8/{name}"}, `"88.118.8/A; \"good\"\nlamp", octet 18`},

		{"link", table.Mapping{ID: "1.0/{n}", Links: []string{"https://m.example/{model}?n={n}&x={{}}"}},
			`value 1: '{', octet`},
		{"link with a field", table.Mapping{ID: "1.0/{n}", Links: []string{"https://m.example/{model}?n={n}"}},
			"1.0/7 | 1:URL=https://m.example/TS%20011%2FF%20%C3%A9?n=7"},
		{"link from a column", table.Mapping{ID: "1.0/{n}", Links: []string{"{+url}"}},
			"1.0/7 | 1:URL=https://x.example/a%20b?q=%41#%C3%A9"},
		{"link with attributes", table.Mapping{ID: "1.0/{n}", Links: []string{"https://m.example/{n}; rel=gs1:pip; title={name}; lang={lang}, fr; type=text/html; context=eu; default; ttl=10m; index=9"}},
			`1.0/7 | 9:URL=https://m.example/7 <gs1:pip|A; "good" lamp|en-GB,fr|text/html|eu|true> 600s`},
		{"empty attributes", table.Mapping{ID: "1.0/{n}", Links: []string{"https://m.example/{n}; title={empty}; lang={empty}"}},
			"1.0/7 | 1:URL=https://m.example/7"},
		{"empty field of a link leaves it out", table.Mapping{ID: "1.0/{n}", Links: []string{"https://m.example/{n}/{empty}", "https://m.example/{n}"}},
			"1.0/7 | 2:URL=https://m.example/7"},
		{"values", table.Mapping{ID: "1.0/{n}", Values: []string{"DESC={name}", "5:EMAIL=a@m.example", "NOTE={empty}", "BOTH={empty}{n}"}},
			"1.0/7 | 5:EMAIL=a@m.example | 101:DESC=A; \"good\"\nlamp | 104:BOTH=7"},
		{"nothing is left", table.Mapping{ID: "1.0/{n}", Links: []string{"https://m.example/{empty}"}, Values: []string{"DESC={empty}"}},
			"every column that its links and values need is empty"},
		{"TTL of all", table.Mapping{ID: "1.0/{n}", TTL: time.Minute, Links: []string{"https://m.example/; ttl=0s"}, Values: []string{"DESC=x"}},
			"1.0/7 | 1:URL=https://m.example/ 0s | 101:DESC=x 60s"},
		{"not a URL", table.Mapping{ID: "1.0/{n}", Links: []string{"m.example/{n}"}}, "value 1: the data of a URL is an absolute URI"},
		{"not a language", table.Mapping{ID: "1.0/{n}", Links: []string{"https://m.example/; lang={model}"}}, "value 1: "},
	}
	for _, test := range tests {
		mapper, err := test.mapping.Compile(columns)
		if err != nil {
			t.Errorf("%s: got error %v", test.name, err)
			continue
		}
		r, err := mapper.Map(table.Row{Number: 42, Line: 43, Fields: fields})
		got := show(r)
		if err != nil {
			var bad *table.RowError
			if !errors.As(err, &bad) || bad.Row != 42 || bad.Line != 43 {
				t.Errorf("%s: got error %#v, want one of row 42, line 43", test.name, err)
				continue
			}
			if strings.Contains(bad.Reason, "\n") {
				t.Errorf("%s: got %q, want one line", test.name, bad.Reason)
			}
			if got = bad.Reason; strings.HasPrefix(got, test.want) {
				continue
			}
		}
		if got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, test.want)
		}
	}
}

func TestMappingsThatCannotBe(t *testing.T) {
	columns := []string{"gtin", "Name"}
	tests := []struct {
		mapping table.Mapping
		want    string
	}{
		{table.Mapping{}, "there is no identifier"},
		{table.Mapping{ID: "88.118.8/x"}, `names no column, so every row would have the same: put one in, such as {gtin}`},
		{table.Mapping{ID: "gs1:{GTIN14}"}, `there is no column "GTIN14": use one of the columns "gtin", "Name", or {row}`},
		{table.Mapping{ID: "gs1:{name}"}, `there is no column "name": write {Name}`},
		{table.Mapping{ID: "gs1:{gtin"}, "octet 4: the brace is not closed"},
		{table.Mapping{ID: "gs1:gtin}"}, "octet 8: a brace closes nothing"},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"https://x.example/{size}"}}, `there is no column "size"`},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"{gtin}"}}, "write {+gtin} when the column holds whole URLs"},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"; title=x"}}, "has no URL"},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"https://x.example/;title=x"}}, "put a space behind the semicolon"},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"https://x.example/; colour=x"}}, `there is no attribute "colour"`},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"https://x.example/; title"}}, "attribute title has no value"},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"https://x.example/; title=a; title=b"}}, "attribute title is given twice"},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"https://x.example/; ttl=soon"}}, `ttl "soon" is not a time`},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"https://x.example/; index=0"}}, `index "0" is not a number`},
		{table.Mapping{ID: "gs1:{gtin}", Links: []string{"https://x.example/; index=101"}, Values: []string{"DESC=x"}}, "have the index 101"},
		{table.Mapping{ID: "gs1:{gtin}", Values: []string{"just a text"}}, "is not TYPE=DATA"},
		{table.Mapping{ID: "gs1:{gtin}", Values: []string{"URL=https://x.example/"}}, "use --link"},
		{table.Mapping{ID: "gs1:{gtin}", TTL: -time.Second}, "out of range"},
	}
	for _, test := range tests {
		_, err := test.mapping.Compile(columns)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: got error %v, want one line with %q", test.mapping, err, test.want)
		}
	}
	var unknown *table.UnknownColumnError
	if _, err := (table.Mapping{ID: "gs1:{x}"}).Compile(columns); !errors.As(err, &unknown) || unknown.Name != "x" {
		t.Errorf("got %v, want an UnknownColumnError", err)
	}
}

// A column that is called row is that column.
func TestColumnCalledRow(t *testing.T) {
	mapper, err := table.Mapping{ID: "1.0/{row}"}.Compile([]string{"row"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := mapper.Map(table.Row{Number: 1, Fields: []string{"x9"}})
	if err != nil || r.ID.Suffix != "x9" || mapper.Numbered() {
		t.Errorf("got %v, %v, numbered %v", r.ID, err, mapper.Numbered())
	}
}

func TestLiteral(t *testing.T) {
	r, err := table.Mapping{ID: "1.0/a{b", Values: []string{`JSON={"a":{}}`}}.Literal()
	if got, want := show(r), `1.0/a{b | 101:JSON={"a":{}}`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestNestedMember(t *testing.T) {
	r, err := table.NewReader(strings.NewReader(`{"a":[1]}`), table.Options{Format: table.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := table.Mapping{ID: "1.0/{a}"}.Compile(r.Columns())
	if err != nil {
		t.Fatal(err)
	}
	row, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mapper.Map(row); err == nil || !strings.Contains(err.Error(), "holds an object or an array") {
		t.Errorf("got %v", err)
	}
}

func TestSeen(t *testing.T) {
	seen := table.NewSeen()
	for i, test := range []struct{ id, want string }{
		{"88.118.8/A", ""}, {"88.118/8", ""}, {"88.118.8/B", ""},
		{"88.118.8/a", "line 4: 88.118.8/a stands in line 1 already"},
	} {
		id, err := identifier.Parse(test.id)
		if err != nil {
			t.Fatal(err)
		}
		err = seen.Add(&table.Registration{ID: id, Row: i, Line: i + 1})
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.id, err, test.want)
		}
	}
}

// Different fields never make one identifier, whatever is in them, where the
// scheme tells all characters apart.
func TestEscapingKeepsFieldsApart(t *testing.T) {
	for _, id := range []string{"https://m.example/p/{a}?b={b}", "did:x:{a}:{b}"} {
		mapper, err := table.Mapping{ID: id}.Compile([]string{"a", "b"})
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) {
			field := rapid.StringN(1, 6, 40)
			one := []string{field.Draw(t, "a"), field.Draw(t, "b")}
			two := []string{field.Draw(t, "c"), field.Draw(t, "d")}
			first, err := mapper.Map(table.Row{Fields: one})
			if err != nil {
				t.Fatal(err)
			}
			second, err := mapper.Map(table.Row{Fields: two})
			if err != nil {
				t.Fatal(err)
			}
			if same := one[0] == two[0] && one[1] == two[1]; same != (first.ID == second.ID) {
				t.Fatalf("%q and %q: got %s and %s", one, two, first.ID, second.ID)
			}
		})
	}
}

// Every model of the sample makes an identifier of its own, a link and values.
func TestRealModels(t *testing.T) {
	f, err := os.Open("../../../testdata/equipment.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := table.NewReader(f, table.Options{Format: table.CSV})
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := table.Mapping{
		ID:     "88.118.8/{vendor}/{model}-{row}",
		Links:  []string{"https://maker.example/{vendor}/{model}; title={description}; lang=en"},
		Values: []string{"DESC={description}"},
	}.Compile(r.Columns())
	if err != nil {
		t.Fatal(err)
	}
	seen := table.NewSeen()
	for {
		row, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		registration, err := mapper.Map(row)
		if err != nil {
			t.Errorf("%q: %v", row.Fields, err)
			continue
		}
		if err := seen.Add(&registration); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkMap(b *testing.B) {
	text, err := os.ReadFile("../../../testdata/equipment.csv")
	if err != nil {
		b.Fatal(err)
	}
	rows := 0
	for b.Loop() {
		r, err := table.NewReader(strings.NewReader(string(text)), table.Options{Format: table.CSV})
		if err != nil {
			b.Fatal(err)
		}
		mapper, err := table.Mapping{ID: "88.118.8/{model}-{row}", Links: []string{"https://maker.example/{model}"}, Values: []string{"DESC={description}"}}.Compile(r.Columns())
		if err != nil {
			b.Fatal(err)
		}
		for {
			row, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if _, err := mapper.Map(row); err != nil {
				b.Fatal(err)
			}
			rows++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
}
