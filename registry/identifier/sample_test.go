package identifier_test

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

func readCSV(t testing.TB, name string) [][]string {
	t.Helper()
	file, err := os.Open("../../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// All products are GS1 identifiers, by their digits and by any other spelling; 140 of
// them have numbers that are not unique in the world.
func TestProductsAreIdentifiers(t *testing.T) {
	rows := readCSV(t, "products.csv")
	if len(rows) != 6000 {
		t.Fatalf("%d products, want 6000", len(rows))
	}
	seen := map[identifier.ID]string{}
	warned := 0
	for _, row := range rows {
		gtin := row[0]
		id, err := identifier.Parse(gtin)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"gs1:" + gtin, "(01)" + gtin, "https://id.gs1.org/01/" + gtin, strings.TrimPrefix(gtin, "0"), id.String()} {
			if got, err := identifier.Parse(text); err != nil || got != id {
				t.Errorf("%s is %s, %v; want %s", text, got, err, id)
			}
		}
		if path, ok := id.DigitalLink(); !ok || path != "/01/"+gtin {
			t.Errorf("%s links to %s", gtin, path)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s are both %s", gtin, other, id)
		}
		seen[id] = gtin
		if identifier.GS1Warning(id) != "" {
			warned++
		}
	}
	if warned != 140 {
		t.Errorf("%d products have a warning, want 140", warned)
	}
}

// Every model of the equipment is a Handle suffix as it stands: nothing needs
// escaping.
func TestEquipmentModelsAreSuffixes(t *testing.T) {
	for _, row := range readCSV(t, "equipment.csv") {
		text := "88.118.8/" + row[1] + "-000001"
		id, err := identifier.Parse(text)
		if err != nil || id.Prefix != "88.118.8" || id.Scheme() != identifier.Handle {
			t.Errorf("%q is %q, %v", text, id, err)
			continue
		}
		checkID(t, id)
	}
}

// Names that carry a hash are for identifiers that are longer than real ones: none of the
// samples has one, not even products with variant, lot and serial number as long as GS1
// allows, nor equipment with serial numbers of 36 digits. 300 are too many.
func TestNoSampleNeedsAHash(t *testing.T) {
	longest, hashed := strings.Repeat("A", 20), 0
	for _, row := range readCSV(t, "products.csv") {
		for _, text := range []string{"(01)" + row[0], "(01)" + row[0] + "(22)" + longest + "(10)" + longest + "(21)" + longest} {
			id, err := identifier.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if identifier.HashNamed(id) {
				t.Errorf("%s has a name with a hash", text)
			}
		}
	}
	for _, row := range readCSV(t, "equipment.csv") {
		for _, serial := range []string{"000001", strings.Repeat("000001", 6), strings.Repeat("000001", 50)} {
			id, err := identifier.Parse("88.118.8/" + row[1] + "-" + serial)
			if err != nil {
				t.Fatal(err)
			}
			if identifier.HashNamed(id) {
				if len(serial) <= 36 {
					t.Errorf("%s has a name with a hash", id)
				}
				hashed++
			}
		}
	}
	if hashed == 0 {
		t.Error("300 digits need no hash: nothing is tested")
	}
}

func TestGS1Warning(t *testing.T) {
	for text, want := range map[string]string{
		"00009102":                 "GTIN-8 00009102 begins with 0",
		"(01)00000000009102(21)4":  "GTIN-8 00009102 begins with 0",
		"20000004":                 "GTIN-8 20000004 begins with 2",
		"12345670":                 "",
		"9506000134352":            "",
		"2000000000008":            "GS1 prefix 200",
		"2900000000001":            "GS1 prefix 290",
		"0200000000004":            "GS1 prefix 020",
		"200000000004":             "GS1 prefix 020",
		"400000000008":             "GS1 prefix 040",
		"0500000000005":            "",
		"030000000007":             "",
		"(8006)020000000000080101": "GS1 prefix 200",
		"(8004)2000A":              "",
		"(00)010000000000000009":   "",
		"88.118/01":                "",
		"gs1.2.0":                  "",
		"did:web:01":               "",
	} {
		id, err := identifier.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := identifier.GS1Warning(id)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("warning of %s is %q, want %q", text, got, want)
		}
	}
}
