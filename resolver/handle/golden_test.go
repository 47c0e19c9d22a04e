package handle_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew: read it well before committing")

func query(id identifier.ID) resolver.Query { return resolver.Query{ID: id} }

func secondsLeft(m *handle.Message) int64 { return int64(m.Expiration) - time.Now().Unix() }

// echo answers every request over TCP with what a function makes of it.
func echo(t *testing.T, answer func(*handle.Message) *handle.Message) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			head := make([]byte, 20)
			io.ReadFull(conn, head)
			e, _ := handle.ParseEnvelope(head)
			b := make([]byte, e.Length)
			io.ReadFull(conn, b)
			if m, err := handle.ParseMessage(e, b); err == nil {
				conn.Write(answer(m).AppendStream(nil))
			}
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

// everyVersion are those that are spoken.
func everyVersion() []handle.Version {
	var list []handle.Version
	for minor := range uint8(11) {
		list = append(list, handle.Version{Major: 2, Minor: minor + 1})
	}
	return append(list, handle.Version{Major: 3})
}

// exchanges are requests of every operation in every version.
func exchanges() (names []string, requests []*handle.Message) {
	add := func(name string, major, minor uint8, op handle.Opcode, flags handle.Flags, body handle.Body) {
		m := request(op, flags, body)
		m.Version = handle.Version{Major: major, Minor: minor}
		m.Suggested = m.Version
		names, requests = append(names, fmt.Sprintf("%d.%d %s", major, minor, name)), append(requests, m)
	}
	who := identifier.Reference{Handle: "0.NA/88.1", Index: 300}
	resolution := func(text string, types ...string) handle.Resolution {
		return handle.Resolution{Handle: text, Types: types}
	}
	every := func(major, minor uint8) {
		add("found", major, minor, handle.OpResolution, handle.FlagPublicOnly, resolution("88.1/SN", "URL"))
		add("referral with a digest", major, minor, handle.OpResolution, handle.FlagDigest, resolution("88.118/x"))
		add("absent", major, minor, handle.OpResolution, 0, resolution("88.1/none"))
		add("site information", major, minor, handle.OpSiteInfo, 0, handle.Name{Handle: "/"})
	}
	for _, v := range everyVersion() {
		every(v.Major, v.Minor)
	}
	operations := []struct {
		op   handle.Opcode
		body handle.Body
	}{
		{handle.OpCreate, handle.Values{Handle: "88.1/new", Values: values()[:1]}}, {handle.OpDelete, handle.Name{Handle: "88.1/sn"}},
		{handle.OpAddValues, handle.Values{Handle: "88.1/sn", Values: values()[:1]}}, {handle.OpRemoveValues, handle.Removal{Handle: "88.1/sn", Indexes: []uint32{1}}},
		{handle.OpModifyValues, handle.Values{Handle: "88.1/sn", Values: values()[:1]}}, {handle.OpListHandles, handle.Name{Handle: "0.NA/88.1"}},
		{handle.OpListPrefixes, handle.Name{Handle: "0.NA/88"}}, {handle.OpChallengeAnswer, handle.ChallengeAnswer{Type: "HS_SECKEY", Who: who, Answer: []byte{1}}},
		{handle.OpVerify, handle.Verification{Key: who, Nonce: make([]byte, 16), Digest: handle.Digest{Type: handle.DigestMD5, Sum: strings.Repeat("d", 16)}, Answer: []byte{1}}},
		{handle.OpHome, handle.Name{Handle: "0.NA/88.1"}}, {handle.OpUnhome, handle.Name{Handle: "0.NA/88.1"}}, {handle.OpListHomed, handle.Name{Handle: "0.NA/88"}},
		{handle.OpSessionSetup, handle.Setup{Mode: handle.HandleKey, Timeout: 60, Who: who, KeyAt: who, Padded: true}}, {handle.OpSessionEnd, handle.Opaque(nil)},
		{handle.OpSessionKey, handle.Opaque("x")}, {handle.OpNextTransaction, handle.Opaque(nil)}, {handle.OpTransactions, handle.Opaque("x")},
		{handle.OpDump, handle.Opaque("x")}, {handle.OpBackup, handle.Opaque(nil)}, {handle.OpPasswordLogin, resolution("user", "password")},
		{handle.OpPublicKeyLogin, handle.Login{Who: who}},
	}
	for _, v := range everyVersion() {
		for _, o := range operations {
			add(fmt.Sprintf("operation %d", o.op), v.Major, v.Minor, o.op, 0, o.body)
		}
	}
	return names, requests
}

// Every octet of requests and answers is as it was recorded, and what was recorded is
// read.
func TestGolden(t *testing.T) {
	s := newServer()
	var b strings.Builder
	names, requests := exchanges()
	for i, m := range requests {
		asked := m.AppendStream(nil)
		e, err := handle.ParseEnvelope(asked)
		if err != nil {
			t.Fatal(err)
		}
		answer := s.Answer(context.Background(), e, asked[20:])
		answer.Expiration = 0
		told := answer.AppendStream(nil)
		for _, octets := range [][]byte{asked, told} {
			if again, err := rereadMessage(octets); err != nil && answer.Code == handle.Success || err == nil && string(again) != string(octets) {
				t.Errorf("%s: read and written again: %X, %v; want %X", names[i], again, err, octets)
			}
		}
		if got := binary.BigEndian.Uint32(told[8:]); got != m.Request {
			t.Errorf("%s: answers request %d", names[i], got)
		}
		fmt.Fprintf(&b, "# %s\n> %x\n< %x\n", names[i], asked, told)
	}
	const file = "testdata/golden.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	if len(got) != len(wanted) {
		t.Fatalf("got %d lines; want %d", len(got), len(wanted))
	}
	name := ""
	for i := range got {
		if strings.HasPrefix(got[i], "#") {
			name = got[i]
		}
		if got[i] != wanted[i] {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got[i], wanted[i])
		}
	}
}
