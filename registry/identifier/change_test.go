package identifier_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"pgregory.net/rapid"
)

// counting yields the octets 0, 1, 2, … for tests whose result must not change.
type counting struct{ next byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.next
		c.next++
	}
	return len(p), nil
}

func newKey(t testing.TB, first byte) identifier.PrivateKey {
	t.Helper()
	key, err := identifier.NewPrivateKey(&counting{next: first})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newID(t testing.TB, prefix, suffix string) identifier.ID {
	t.Helper()
	id, err := identifier.New(identifier.Prefix(prefix), suffix)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var expiry = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func link(url string) []identifier.Value {
	return []identifier.Value{{
		Index: 1, Type: "URL", Data: []byte(url), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions,
	}}
}

// sampleRows returns three rows: a new record, a new version, a withdrawal.
func sampleRows(t testing.TB) []identifier.Row {
	t.Helper()
	current := &identifier.Record{Version: 4, RowHash: identifier.Hash{1, 2, 3}}
	withdrawn := identifier.NextRow(newID(t, "88.118.8", "sn-44"), current)
	withdrawn.Op = identifier.Withdraw
	replaced := identifier.NextRow(newID(t, "88.118.8", "sn-43"), current)
	replaced.Values = link("https://maker.example/43")
	fresh := identifier.NextRow(newID(t, "88.118.8", "sn-42"), nil)
	fresh.Spelling = "hdl:88.118.8/SN-42"
	fresh.Values = link("https://maker.example/42")
	return []identifier.Row{fresh, replaced, withdrawn}
}

func sampleChange(t testing.TB) *identifier.Change {
	t.Helper()
	h := identifier.Header{Prefix: "88.118", Epoch: 2, KeysetVersion: 3, Expiry: expiry}
	c, err := identifier.SignChange(h, sampleRows(t), &counting{}, newKey(t, 1), newKey(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSignedChangePassesItsCheck(t *testing.T) {
	c := sampleChange(t)
	h, hashes, err := c.Check()
	if err != nil {
		t.Fatal(err)
	}
	if h.Prefix != "88.118" || h.Epoch != 2 || h.KeysetVersion != 3 || h.Rows != 3 || !h.Expiry.Equal(expiry) {
		t.Errorf("header %+v", h)
	}
	if len(hashes) != 3 || identifier.RowRoot(hashes) != h.Root {
		t.Errorf("%d hashes, root %x", len(hashes), h.Root)
	}
	keys := []identifier.PublicKey{newKey(t, 1).Public(), newKey(t, 2).Public(), newKey(t, 3).Public()}
	if got := c.Envelope.SignedBy(keys); got != 2 {
		t.Errorf("signed by %d keys, want 2", got)
	}
}

func TestChangeCheckNamesRowAndRule(t *testing.T) {
	zero := identifier.Hash{}
	tests := []struct {
		name string
		harm func(c []identifier.Row) []identifier.Row
		row  int
		rule string
	}{
		{"no rows", func(r []identifier.Row) []identifier.Row { return nil }, -1, "1 to 1024 rows"},
		{"too many rows", func(r []identifier.Row) []identifier.Row { return make([]identifier.Row, 1025) }, -1, "1 to 1024 rows"},
		{"order", func(r []identifier.Row) []identifier.Row { r[0], r[1] = r[1], r[0]; return r }, 1, "rows ascend"},
		{"twice", func(r []identifier.Row) []identifier.Row { return append(r[:1], r[0]) }, 1, "rows ascend"},
		{"foreign prefix", func(r []identifier.Row) []identifier.Row { r[2].ID.Prefix = "88.1189"; return r }, 2, "does not cover"},
		{"not canonical", func(r []identifier.Row) []identifier.Row { r[1].ID.Suffix = "sn-43\x00"; return r }, 1, ""},
		{"not folded", func(r []identifier.Row) []identifier.Row { r[2].ID.Suffix = "SN-44"; return r[2:] }, 0, "canonical"},
		{"op", func(r []identifier.Row) []identifier.Row { r[1].Op = 3; return r }, 1, "puts or withdraws"},
		{"version 0", func(r []identifier.Row) []identifier.Row { r[0].Version = 0; return r }, 0, "1 or more"},
		{"version 1 replaces", func(r []identifier.Row) []identifier.Row { r[1].Version = 1; return r }, 1, "version 1 replaces nothing"},
		{"version 2 replaces nothing", func(r []identifier.Row) []identifier.Row { r[1].Replaces = zero; return r }, 1, "names the row hash"},
		{"withdraw version 1", func(r []identifier.Row) []identifier.Row { r[2].Version, r[2].Replaces = 1, zero; return r }, 2, "can be withdrawn"},
		{"withdraw with values", func(r []identifier.Row) []identifier.Row { r[2].Values = link("https://a.example/"); return r }, 2, "neither spelling nor values"},
		{"relative URL", func(r []identifier.Row) []identifier.Row { r[1].Values = link("/p/43"); return r }, 1, "absolute URI"},
		{"spelling", func(r []identifier.Row) []identifier.Row { r[0].Spelling = "a\nb"; return r }, 0, "spelling"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := identifier.Header{Prefix: "88.118", Expiry: expiry}
			_, err := identifier.SignChange(h, test.harm(sampleRows(t)), nil, newKey(t, 1))
			var broken *identifier.ChangeError
			if !errors.As(err, &broken) {
				t.Fatalf("got %v, want a ChangeError", err)
			}
			if broken.Row != test.row || !strings.Contains(err.Error(), test.rule) || broken.Mend == "" {
				t.Errorf("row %d, %q, want row %d and %q", broken.Row, err, test.row, test.rule)
			}
		})
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := identifier.Header{
			Prefix: identifier.Prefix(drawText(t, "prefix", 0, 126)),
			Epoch:  rapid.Uint64().Draw(t, "epoch"), KeysetVersion: rapid.Uint64().Draw(t, "keyset version"),
			Rows: rapid.Uint32().Draw(t, "rows"), Root: drawHash(t, "root"), Expiry: drawSecond(t, "expiry", 0),
			Agent: drawText(t, "agent", 0, 255), AgentMethod: drawText(t, "method", 0, 63),
		}
		b, err := h.Append([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		b = b[len("before"):]
		got, err := identifier.ParseHeader(b)
		if err != nil || got != h {
			t.Fatalf("got %+v, %v, want %+v", got, err, h)
		}
		readWhole(t, b, func(b []byte) error { _, err := identifier.ParseHeader(b); return err })
	})
}

func TestHeaderRules(t *testing.T) {
	tests := []struct {
		name string
		harm func(h *identifier.Header)
		want string // part of the error; none when the header is good
	}{
		{"as it is", func(h *identifier.Header) {}, ""},
		{"of the root", func(h *identifier.Header) { h.Prefix = "" }, ""},
		{"agent", func(h *identifier.Header) { h.Agent, h.AgentMethod = "300:0.NA/88.118", "handle" }, ""},
		{"prefix in capitals", func(h *identifier.Header) { h.Prefix = "88.A" }, "lower case"},
		{"prefix with an empty segment", func(h *identifier.Header) { h.Prefix = "88..1" }, "octet 3 of the prefix"},
		{"long prefix", func(h *identifier.Header) { h.Prefix = identifier.Prefix(strings.Repeat("a.", 64)) }, "126"},
		{"no rows", func(h *identifier.Header) { h.Rows = 0 }, "1 to 1024 rows"},
		{"too many rows", func(h *identifier.Header) { h.Rows = 1025 }, "1 to 1024 rows"},
		{"no expiry", func(h *identifier.Header) { h.Expiry = time.Time{} }, "expiry"},
		{"expiry after 9999", func(h *identifier.Header) { h.Expiry = time.Unix(lastSecond+1, 0) }, "expiry"},
		{"agent without method", func(h *identifier.Header) { h.Agent = "x" }, "both or neither"},
		{"method without agent", func(h *identifier.Header) { h.AgentMethod = "x" }, "both or neither"},
		{"method in capitals", func(h *identifier.Header) { h.Agent, h.AgentMethod = "x", "HTTP" }, "word"},
		{"long method", func(h *identifier.Header) { h.Agent, h.AgentMethod = "x", strings.Repeat("x", 64) }, "word"},
		{"long agent", func(h *identifier.Header) { h.Agent, h.AgentMethod = strings.Repeat("x", 256), "x" }, "agent"},
		{"agent with control", func(h *identifier.Header) { h.Agent, h.AgentMethod = "a\nb", "x" }, "agent"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := identifier.Header{Prefix: "88.118", Epoch: 1, KeysetVersion: 1, Rows: 1, Expiry: expiry}
			test.harm(&h)
			err := h.Check()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if _, err := h.Append(nil); err != nil && test.want == "" {
				t.Errorf("good, but cannot be encoded: %v", err)
			}
		})
	}
}

// A change that somebody else made, signed or not, is judged as a whole.
func TestChangeCheckJudgesTheWhole(t *testing.T) {
	key := newKey(t, 1)
	resign := func(c *identifier.Change, harm func(h *identifier.Header)) {
		h, err := c.Header()
		if err != nil {
			t.Fatal(err)
		}
		harm(&h)
		payload, err := h.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Envelope = identifier.Sign(identifier.ChangeType, payload, key)
	}
	tests := []struct {
		name string
		harm func(c *identifier.Change)
		want string
	}{
		{"payload type", func(c *identifier.Change) { c.Envelope.PayloadType = identifier.KeysetType }, "payload type"},
		{"payload", func(c *identifier.Change) { c.Envelope.Payload = c.Envelope.Payload[1:] }, "octet"},
		{"no signatures", func(c *identifier.Change) { c.Envelope.Signatures = nil }, "signed"},
		{"a row is missing", func(c *identifier.Change) { c.Rows = c.Rows[:2] }, "signed over 3 rows, there are 2"},
		{"rows miscounted", func(c *identifier.Change) { resign(c, func(h *identifier.Header) { h.Rows = 2 }) }, "signed over 2 rows, there are 3"},
		{"root", func(c *identifier.Change) { resign(c, func(h *identifier.Header) { h.Root[0] ^= 1 }) }, "root"},
		{"seed", func(c *identifier.Change) { c.ValueSeed[0] ^= 1 }, "root"},
		{"prefix", func(c *identifier.Change) { resign(c, func(h *identifier.Header) { h.Prefix = "88.119" }) }, "does not cover"},
		{"header", func(c *identifier.Change) { resign(c, func(h *identifier.Header) { h.Agent = "x" }) }, "both or neither"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := sampleChange(t)
			test.harm(c)
			_, _, err := c.Check()
			var broken *identifier.ChangeError
			if !errors.As(err, &broken) || !strings.Contains(err.Error(), test.want) || broken.Mend == "" {
				t.Errorf("got %v, want a ChangeError with %q", err, test.want)
			}
		})
	}
}

func TestRowsOfAChangeMustFit(t *testing.T) {
	var rows []identifier.Row
	size := 0
	for i := range 9 {
		r := identifier.NextRow(newID(t, "88.118", string(rune('a'+i))), nil)
		r.Values = []identifier.Value{{Index: 1, Type: "X", Data: make([]byte, 60000)}}
		n, err := r.Size()
		if err != nil {
			t.Fatal(err)
		}
		size += n
		rows = append(rows, r)
		_, err = identifier.SignChange(identifier.Header{Prefix: "88", Expiry: expiry}, rows, nil, newKey(t, 1))
		var broken *identifier.ChangeError
		switch fits := size <= identifier.MaxChange; {
		case fits && err != nil:
			t.Errorf("%d octets: %v", size, err)
		case !fits && (!errors.As(err, &broken) || broken.Row != i):
			t.Errorf("%d octets: got %v", size, err)
		}
	}
}

func TestSignChangeNeedsAKeyAndSeeds(t *testing.T) {
	h := identifier.Header{Prefix: "88", Expiry: expiry}
	if _, err := identifier.SignChange(h, sampleRows(t), nil); err == nil {
		t.Error("signed without a key")
	}
	if _, err := identifier.SignChange(h, sampleRows(t), strings.NewReader("short"), newKey(t, 1)); err == nil {
		t.Error("signed without seeds")
	}
	h.Expiry = time.Time{}
	if _, err := identifier.SignChange(h, sampleRows(t), nil, newKey(t, 1)); err == nil {
		t.Error("signed without an expiry")
	}
}
