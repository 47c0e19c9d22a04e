package rpc_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
	"github.com/nameplate-id/nameplate/resolver/rpc"
)

var thisKey = identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("\x01", 32)}

// some returns one of the given.
func some[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// emptyStore is one with prefixes that are held here, elsewhere, privately, and by nobody any more.
func emptyStore(apexes ...identifier.Prefix) *resolvertest.Store {
	keys := identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{thisKey}}
	there := identifier.Node{Name: "there", Key: identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("\x02", 32)}}
	return &resolvertest.Store{Apexes: apexes, Records: map[identifier.ID]*identifier.Record{}, Delegations: map[identifier.Prefix]*identifier.Delegation{
		"88.30":  {Prefix: "88.30", Epoch: 1, Keyset: keys, Node: &there},
		"88.31":  {Prefix: "88.31", Epoch: 1, Keyset: keys, Node: &there, Mirrors: []identifier.Node{{Name: "self", Key: thisKey}}},
		"88.200": {Prefix: "88.200", Epoch: 1, Keyset: keys, Private: true},
		"88.40":  {Prefix: "88.40", Epoch: 2},
		"88.41":  {Prefix: "88.41", Epoch: 1, Keyset: keys, Node: &identifier.Node{Name: "self", Key: thisKey}},
	}}
}

func put(s *resolvertest.Store, text string, values ...identifier.Value) *identifier.Record {
	s.Put(text, values...)
	id, err := identifier.ParseCanonical(text)
	if err != nil {
		panic(err)
	}
	return s.Records[id]
}

func url(data string) identifier.Value {
	return identifier.Value{Type: "URL", Data: []byte(data), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}
}

// same checks that plain results are those of the long way, and returns which there are.
func same(t testing.TB, s *rpc.Server, m *proto.ResolveBatchRequest) []bool {
	t.Helper()
	plain, full, err := rpc.Results(t.Context(), s, m)
	if err != nil {
		t.Fatal(err)
	}
	is := make([]bool, len(plain))
	for i := range plain {
		if is[i] = plain[i] != nil; is[i] && !bytes.Equal(plain[i], full[i]) {
			var got, want proto.ResolveBatchResponse
			t.Fatalf("%q, form %v: got %x\n%v, %v\nwant %x\n%v, %v", m.Identifiers[i], m.Form,
				plain[i], protobuf.Unmarshal(plain[i], &got), &got, full[i], protobuf.Unmarshal(full[i], &want), &want)
		}
		sameAlone(t, s, &proto.ResolveRequest{Identifier: m.Identifiers[i], Form: m.Form, Selection: m.Selection}, is[i], full[i])
	}
	return is
}

// sameAlone checks that the plain answer to one question is that of the long way, and that
// there is one where there would be in a batch. A result has the fields of a response.
func sameAlone(t testing.TB, s *rpc.Server, m *proto.ResolveRequest, plain bool, result []byte) {
	t.Helper()
	got, err := rpc.Alone(s, m)
	_, _, tag := protowire.ConsumeTag(result)
	want, n := protowire.ConsumeBytes(result[max(0, tag):])
	switch {
	case err != nil || n < 0:
		t.Fatalf("%q: got %v; want octets", m.Identifier, err)
	case got == nil && plain:
		t.Fatalf("%q, form %v, is plain in a batch alone", m.Identifier, m.Form)
	case got != nil && !bytes.Equal(got, want):
		t.Fatalf("%q, form %v, alone: got %x\nwant %x", m.Identifier, m.Form, got, want)
	}
}

func lending(s *resolvertest.Store, o rpc.Options) (*resolver.Authority, *rpc.Server) {
	a := resolver.NewAuthority(resolvertest.NewLender(s), resolver.Options{Node: thisKey})
	o.Records = a
	return a, rpc.New(a, o)
}

// Which questions of a batch are plain.
func TestPlainQuestions(t *testing.T) {
	const gs1 = "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/SN"
	s := emptyStore("88", "gs1", "oid")
	for _, text := range []string{"88.1/sn", "88.1", "88.1/größe", "88.30/x", "88.31/x", "88.200/x", "88.40/x", "88.41/x", gs1} {
		put(s, text, url("https://maker.example/"))
	}
	template := url("https://maker.example/{suffix}")
	template.Type = "HS_NAMESPACE"
	put(s, "88.50", template)
	put(s, "88.50/x", url("https://maker.example/x"))
	put(s, "88.1/gone", url("x:")).Withdrawn = true
	put(s, "88.1/bare")
	hidden := url("x:")
	hidden.Permissions = identifier.AdminRead
	put(s, "88.1/hidden", hidden)
	put(s, "88.1/sealed", url("x:"), hidden)
	timed := url("x:")
	timed.TTL = identifier.TTL{Absolute: true, Seconds: 2_000_000_000}
	put(s, "88.1/timed", timed)
	_, server := lending(s, rpc.Options{})
	const canonical, spelled = proto.Form_FORM_CANONICAL, proto.Form_FORM_UNSPECIFIED
	for _, c := range []struct {
		text      string
		form      proto.Form
		selection *proto.Selection
		want      bool
	}{
		{"88.1/sn", canonical, nil, true},
		{"88.1/sn", spelled, nil, true},
		{"88.1/SN", spelled, nil, true},
		{"88.1/SN", canonical, nil, false},
		{"88.1/sn", 7, nil, false},
		{"hdl:88.1/sn", spelled, nil, false},
		{"88.1/größe", canonical, nil, true},
		{"88.1/größe", spelled, nil, false},
		{gs1, canonical, nil, true},
		{gs1, spelled, nil, true},
		{"GS1" + gs1[3:], spelled, nil, false},
		{strings.ToLower(gs1), spelled, nil, false},
		{"88.1/sn", canonical, &proto.Selection{Types: []string{"URL"}}, false},
		{"88.1/sn", canonical, &proto.Selection{Indexes: []uint32{1}}, false},
		{"88.1/sn", canonical, &proto.Selection{Relation: "gs1:pip"}, false},
		{"88.1/sn", canonical, &proto.Selection{Recursive: true, Authoritative: true, Mirror: true}, true},
		{"88.1", canonical, nil, false},
		{"88.1/", canonical, nil, false},
		{"/sn", canonical, nil, false},
		{"", canonical, nil, false},
		{"99/x", canonical, nil, false},
		{"88.1/none", canonical, nil, false},
		{"88.1/gone", canonical, nil, false},
		{"88.1/bare", canonical, nil, false},
		{"88.1/hidden", canonical, nil, false},
		{"88.1/sealed", canonical, nil, false},
		{"88.1/timed", canonical, nil, false},
		{"88.30/x", canonical, nil, false},  // a referral
		{"88.31/x", canonical, nil, false},  // a referral, mirrored
		{"88.200/x", canonical, nil, false}, // private
		{"88.40/x", canonical, nil, true},   // revoked
		{"88.41/x", canonical, nil, true},   // delegated to this node
		{"88.50/x", canonical, nil, true},
		{"88.50/computed", canonical, nil, false},
		{"0.na/88.1", spelled, nil, false},
		{"88.1/" + strings.Repeat("x", identifier.MaxID), canonical, nil, false},
	} {
		m := &proto.ResolveBatchRequest{Identifiers: []string{c.text}, Form: c.form, Selection: c.selection}
		if got := same(t, server, m); got[0] != c.want {
			t.Errorf("%.60q, form %v, %v: got plain %v; want %v", c.text, c.form, c.selection, got[0], c.want)
		}
	}
}

// generated returns a store with random records, and texts of most and of others.
func generated(r *rand.Rand) (*resolvertest.Store, []string) {
	s := emptyStore(some(r, "88", identifier.Prefix("")), "10.1", "gs1", "web")
	prefixes := []string{"88", "88.1", "88.1", "88.1.2", "88.30", "88.31.1", "88.200", "88.200.1", "88.40", "88.41.x-y", "10.1", "gs1.9.5.0.6.0.0.0.1.3.4.3.5"}
	texts := []string{"88", "0.NA/88.30", "88.1/none", "99/x", "88.1/", "/x", "gs1.9.5.0.6/010", "oid.1.2", "88.30.5/x", "88..1/x", "0.na/88.1", "88.1/x\x00y", "88.1/x\x01y",
		"88\x00.1/x", "vaa/x", "88_1/x", "(01)09506000134352(21)A7", "https://maker.example/p", "hdl:88.1/1", "88.50.1/computed"}
	template := url("https://maker.example/{suffix}")
	template.Type = "HS_NAMESPACE"
	put(s, "88.50", template)
	for i := range 200 {
		prefix := some(r, prefixes...)
		suffix := some(r, fmt.Sprint(i), fmt.Sprintf("sn-%d", i), strings.Repeat("z", 1+r.IntN(300)), "a b", "a/b/c", "größe", "~`|}", " ")
		if strings.HasPrefix(prefix, "gs1") {
			suffix = fmt.Sprintf("010/21/%s%d", some(r, "sn", "SN"), i)
		}
		text := prefix + "/" + suffix
		var list []identifier.Value
		for range some(r, 0, 1, 1, 1, 1, 2, 3, 20) {
			list = append(list, draw(r))
		}
		if r.IntN(2) == 0 && len(list) > 1 { // one default link at most
			list[len(list)-1] = url("https://maker.example/default")
			list[len(list)-1].Link = &identifier.Link{Default: true}
		}
		record := put(s, text, list...)
		record.Withdrawn = r.IntN(20) == 0
		record.Spelling = some(r, text, strings.ToUpper(prefix)+"/"+suffix)
		record.Version = some(r, 1, 7, r.Uint64()|1)
		if r.IntN(2) == 0 {
			record.RowHash[r.IntN(32)] = 1
		}
		texts = append(texts, slices.Repeat([]string{text}, 5)...)
	}
	return s, texts
}

// draw returns a value without index.
func draw(r *rand.Rand) identifier.Value {
	v := url(some(r, "x:", "https://maker.example/"+strings.Repeat("p", r.IntN(200)), "https://maker.example/"+strings.Repeat("q", 20_000*r.IntN(2))))
	v.TTL = some(r, identifier.DefaultTTL, identifier.DefaultTTL, identifier.TTL{}, identifier.TTL{Seconds: r.Uint32()})
	if r.IntN(3) == 0 {
		v.Type, v.Data = some(r, "DESC", "X.Y", "10320/loc"), []byte(some(r, "", "x\xff"))
	}
	if r.IntN(20) == 0 {
		v.TTL = identifier.TTL{Absolute: true, Seconds: r.Uint32()}
	}
	if r.IntN(3) == 0 {
		v.Timestamp = time.Unix(1+int64(r.Uint32()), 0).UTC()
	}
	if v.Type == "URL" && r.IntN(3) == 0 {
		v.Link = &identifier.Link{
			Relation: some(r, "", "gs1:pip", "https://ref.gs1.org/voc/pip"), Title: some(r, "", "Maße", strings.Repeat("t", 200)),
			Languages: some(r, nil, []string{"de"}, []string{"de", "en-GB"}), MediaType: some(r, "", "text/html"), Context: some(r, "", "eu"),
		}
	}
	if r.IntN(20) == 0 {
		v.Permissions = some(r, identifier.AdminRead, identifier.PublicRead, identifier.PublicRead|identifier.PublicWrite)
	}
	for range some(r, 0, 0, 0, 1, 3) {
		v.References = append(v.References, identifier.Reference{Handle: some(r, "a", "88.1/ref"), Index: r.Uint32() * some[uint32](r, 0, 1)})
	}
	return v
}

// generate returns a piece of a batch, some of its texts mutated.
func generate(r *rand.Rand, texts []string) *proto.ResolveBatchRequest {
	m := &proto.ResolveBatchRequest{Form: some(r, proto.Form_FORM_CANONICAL, proto.Form_FORM_CANONICAL, proto.Form_FORM_UNSPECIFIED)}
	if r.IntN(5) == 0 {
		m.Selection = some(r, &proto.Selection{Recursive: true}, &proto.Selection{Mirror: true}, &proto.Selection{Authoritative: true},
			&proto.Selection{Types: []string{"URL"}}, &proto.Selection{Indexes: []uint32{1}}, &proto.Selection{Relation: "gs1:pip"})
	}
	for range 1 + r.IntN(rpc.MaxPiece) {
		text := []byte(some(r, texts...))
		for range some(r, 0, 0, 0, 0, 1, 3) {
			if at := r.IntN(len(text) + 1); at < len(text) {
				switch r.IntN(4) {
				case 0:
					text[at] ^= 0x20
				case 1:
					text[at] = some[byte](r, 0, 1, '/', '.', 'A', 0xc3, byte(r.Uint32()))
				case 2:
					text = slices.Delete(text, at, at+1)
				case 3:
					text = slices.Insert(text, at, byte(r.Uint32()))
				}
			}
		}
		m.Identifiers = append(m.Identifiers, string(text))
	}
	return m
}

// Both ways give the same octets, on generated batches.
func TestPathsAgree(t *testing.T) {
	pieces := 4_000
	if testing.Short() {
		pieces = 500
	}
	const stores = 20
	asked, plainly := 0, 0
	for seed := range stores {
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		s, texts := generated(r)
		_, server := lending(s, rpc.Options{})
		for range pieces / stores {
			for _, is := range same(t, server, generate(r, texts)) {
				if asked++; is {
					plainly++
				}
			}
		}
	}
	t.Logf("%d questions, %d plain", asked, plainly)
	if plainly < asked/10 || plainly > asked*9/10 {
		t.Errorf("got %d plain answers to %d questions; want both ways taken, or nothing is tested", plainly, asked)
	}
}

// Batches of all sorts arrive over the wire in their order, each with what is its own.
func TestPathsOverTheWire(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s, texts := generated(r)
	for _, record := range s.Records {
		for i := range record.Values { // both are asked, one after the other
			record.Values[i].TTL.Absolute = false
		}
	}
	a, _ := lending(s, rpc.Options{})
	_, reference := serve(t, a, rpc.Options{})
	_, mixed := serve(t, a, rpc.Options{Records: a})
	for range 5 {
		var requests []*proto.ResolveBatchRequest
		for range 40 {
			m := generate(r, texts)
			for i, text := range m.Identifiers { // a message holds nothing but UTF-8
				m.Identifiers[i] = strings.ToValidUTF8(text, "")
			}
			m.Identifiers = slices.Repeat(m.Identifiers, 3)
			requests = append(requests, m)
		}
		got, want := exchange(t, proto.NewResolutionClient(mixed), requests), exchange(t, proto.NewResolutionClient(reference), requests)
		if len(got) != len(want) {
			t.Fatalf("got %d results; want %d", len(got), len(want))
		}
		for i := range got {
			if !protobuf.Equal(got[i], want[i]) {
				t.Fatalf("result %d: got %v\nwant %v", i, got[i], want[i])
			}
		}
	}
}

// exchange sends requests and returns the results.
func exchange(t *testing.T, c proto.ResolutionClient, requests []*proto.ResolveBatchRequest) []*proto.ResolveResult {
	t.Helper()
	stream, err := c.ResolveBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		for _, m := range requests {
			if err := stream.Send(m); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	results := receive(t, stream)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return results
}

// unlent lends nothing.
type unlent struct{}

func (unlent) Lend([]identifier.Loan, func() (found, absent int)) error {
	return errors.New("the state is being closed")
}

// Where nothing can be lent, the Resolver is asked.
func TestBatchWithoutLoans(t *testing.T) {
	s := emptyStore("88")
	put(s, "88.1/sn", url("https://maker.example/"))
	a, _ := lending(s, rpc.Options{})
	_, conn := serve(t, a, rpc.Options{Records: unlent{}})
	got := exchange(t, proto.NewResolutionClient(conn), []*proto.ResolveBatchRequest{{Identifiers: []string{"88.1/sn"}}})
	if len(got) != 1 || got[0].GetAnswer().GetOutcome() != proto.Outcome_OUTCOME_FOUND {
		t.Errorf("got %v; want the record", got)
	}
}

// A question by hash, which names the prefix alone, is never plain, whatever it names.
func TestHashIsNotPlain(t *testing.T) {
	s := emptyStore("88")
	put(s, "88.1/sn", url("https://maker.example/"))
	_, server := lending(s, rpc.Options{})
	m := &proto.ResolveRequest{Identifier: "88.1/sn"}
	if got, err := rpc.Alone(server, m); err != nil || got == nil {
		t.Fatalf("got %x, %v; want a plain answer", got, err)
	}
	m.SuffixHash = make([]byte, 32)
	if got, err := rpc.Alone(server, m); err != nil || got != nil {
		t.Errorf("got %x, %v; want none", got, err)
	}
}

// lentAlways lends one record.
type lentAlways struct{ loan identifier.Loan }

func (l *lentAlways) Lend(loans []identifier.Loan, f func() (found, absent int)) error {
	for i := range loans {
		prefix, key := loans[i].Prefix, loans[i].Key
		loans[i] = l.loan
		loans[i].Prefix, loans[i].Key = prefix, key
	}
	f()
	return nil
}

// Plain answers allocate next to nothing: what is needed for a piece, not for each.
func TestPlainAllocations(t *testing.T) {
	s := emptyStore("88")
	put(s, "88.1/sn", url("https://maker.example/sn"))
	a, _ := lending(s, rpc.Options{})
	loans := []identifier.Loan{{Prefix: []byte("88.1"), Key: identifier.AppendKey(nil, identifier.ID{Prefix: "88.1", Suffix: "sn"})}}
	lent := new(lentAlways)
	if err := a.Lend(loans, func() (int, int) { lent.loan = loans[0]; return 0, 0 }); err != nil || lent.loan.Stored == nil {
		t.Fatalf("got %v, %v; want the record", lent.loan, err)
	}
	answer := rpc.Plainly(lent, &proto.ResolveBatchRequest{Identifiers: slices.Repeat([]string{"88.1/sn"}, rpc.MaxPiece)})
	if answer() < rpc.MaxPiece*50 {
		t.Fatal("the questions are not plain")
	}
	if got := testing.AllocsPerRun(200, func() { answer() }); got > 3 {
		t.Errorf("got %v allocations for %d answers; want 3 at most", got, rpc.MaxPiece)
	}
}
