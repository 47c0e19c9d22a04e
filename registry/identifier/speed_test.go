package identifier_test

import (
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

var spellings = []struct{ name, text string }{
	{"handle", "88.118.8/sn-42-000017"},
	{"handle upper", "88.118.8/SN-42-000017"},
	{"handle unicode", "88.118.8/gehäuse-42"},
	{"gtin", "9506000134352"},
	{"elements", "(01)09506000134352(21)42"},
	{"link", "https://id.gs1.org/01/09506000134352/21/42"},
	{"epc", "urn:epc:id:sgtin:0614141.812345.6789"},
	{"gs1 canonical", "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/42"},
	{"oid", "1.2.156.3001.7"},
	{"url", "https://maker.example/p/4711?s=A"},
	{"did", "did:web:maker.example:users:alice"},
}

func BenchmarkParse(b *testing.B) {
	for _, s := range spellings {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := identifier.Parse(s.text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseCanonical(b *testing.B) {
	for _, s := range spellings {
		id, err := identifier.Parse(s.text)
		if err != nil {
			b.Fatal(err)
		}
		text := id.String()
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := identifier.ParseCanonical(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseKey(b *testing.B) {
	for _, s := range spellings {
		id, err := identifier.Parse(s.text)
		if err != nil {
			b.Fatal(err)
		}
		key := identifier.AppendKey(nil, id)
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := identifier.ParseKey(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
