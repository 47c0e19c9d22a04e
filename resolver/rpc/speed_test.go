package rpc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/rpc"
)

// lentByKey lends what is stored under each key, as a store does.
type lentByKey struct {
	loan   identifier.Loan // of all that are lent, but for the record
	stored map[string][]byte
}

func (l *lentByKey) Lend(loans []identifier.Loan, f func() (found, absent int)) error {
	for i := range loans {
		loan := l.loan
		loan.Prefix, loan.Key = loans[i].Prefix, loans[i].Key
		var err error
		if loan.Stored, err = identifier.CheckStored(loan.Key, l.stored[string(loan.Key)]); err != nil {
			return err
		}
		loans[i] = loan
	}
	f()
	return nil
}

// BenchmarkPlain is what it takes to check, and to answer with, a record with a link of
// 100 octets, without finding it.
func BenchmarkPlain(b *testing.B) {
	lent := &lentByKey{stored: map[string][]byte{}}
	lent.loan.InZone, lent.loan.Apex, lent.loan.Position = true, "88", 1_000_000
	lent.loan.Log[0] = 1
	m := &proto.ResolveBatchRequest{Form: proto.Form_FORM_CANONICAL}
	for i := range rpc.MaxPiece {
		id := identifier.ID{Prefix: "88.118.7", Suffix: fmt.Sprintf("sn-%010d", i)}
		link := url("https://resolve.factory-88.example.net/v1/objects/" + id.String() + "/nameplate?rev=3&from=label")
		link.Index = 1
		key := identifier.AppendKey(nil, id)
		record := identifier.Record{ID: id, Version: 1, Time: time.UnixMilli(1_790_000_000_000), RowHash: identifier.Hash{1}, Values: []identifier.Value{link}}
		stored, err := identifier.AppendStored(nil, key, &record, 7)
		if err != nil {
			b.Fatal(err)
		}
		lent.stored[string(key)] = stored
		m.Identifiers = append(m.Identifiers, id.String())
	}
	answer := rpc.Plainly(lent, m)
	if answer() < 200*rpc.MaxPiece {
		b.Fatal("the questions are not plain")
	}
	b.ReportAllocs()
	for b.Loop() {
		answer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rpc.MaxPiece), "ns/identifier")
}
