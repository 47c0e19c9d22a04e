package http_test

import (
	"net/http"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// The work of one request, without the network.
func BenchmarkHandler(b *testing.B) {
	h := resolverhttp.New(know(map[string][]identifier.Value{gtin: multilingual()}), resolverhttp.Options{}).Handler()
	for name, c := range map[string]struct {
		target string
		header map[string]string
		status int
	}{
		"link":     {"/01/09506000134352", nil, 307},
		"language": {"/01/09506000134352?linkType=gs1:pip", map[string]string{"Accept-Language": "pt-BR,pt;q=0.9,en;q=0.8"}, 307},
		"resolve":  {"/resolve/(01)09506000134352", nil, 200},
		"absent":   {"/resolve/88.118.8/x", nil, 404},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := do(b, h, http.MethodGet, c.target, c.header); w.Code != c.status {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// One question after the other over a connection that stays open.
func BenchmarkClient(b *testing.B) {
	address := serve(b, know(map[string][]identifier.Value{gtin: {value(1, "URL", "https://maker.example/")}}), resolverhttp.Options{})
	client, err := resolverhttp.NewClient(address, resolverhttp.ClientOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	id, err := identifier.ParseCanonical(gtin)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := client.Resolve(b.Context(), resolver.Query{ID: id}); err != nil {
			b.Fatal(err)
		}
	}
}
