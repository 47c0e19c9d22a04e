package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// records returns n records of about a kilobyte each, in the order of their keys.
func records(n int) []*identifier.Record {
	var list []*identifier.Record
	for i := range n {
		id := identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("sn-%05d", i)}
		list = append(list, &identifier.Record{
			ID: id, Spelling: id.String(), Version: 1, Time: time.UnixMilli(int64(i)).UTC(),
			Values: []identifier.Value{{
				Index: 1, Type: "DESC", Data: bytes.Repeat([]byte{'x'}, 1000), TTL: identifier.DefaultTTL,
				Permissions: identifier.AdminRead, Timestamp: time.Unix(0, 0).UTC(),
			}},
		})
	}
	return list
}

func TestExportGoesOnWhereItBroke(t *testing.T) {
	all := records(1500)
	calls := 0
	r := &fake{export: func(_ context.Context, below identifier.Prefix, after identifier.ID, yield func(*identifier.Record) error) error {
		if below != "88.118" {
			t.Errorf("export below %q", below)
		}
		calls++
		for i, record := range all {
			if calls == 1 && i == 700 {
				return &registry.Error{Kind: registry.Unavailable, Detail: "the node is ending"}
			}
			if after != (identifier.ID{}) && identifier.Compare(record.ID, after) <= 0 {
				continue
			}
			if err := yield(record); err != nil {
				return err
			}
		}
		return nil
	}}
	client := serve(t, r, rpc.Options{})
	var got []*identifier.Record
	err := client.Export(t.Context(), "88.118", identifier.ID{}, func(r *identifier.Record) error {
		got = append(got, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(all) || calls != 2 {
		t.Fatalf("%d records of %d, in %d calls", len(got), len(all), calls)
	}
	for i := range all {
		if got[i].ID != all[i].ID || !bytes.Equal(got[i].Values[0].Data, all[i].Values[0].Data) || got[i].Values[0].Permissions != identifier.AdminRead {
			t.Fatalf("record %d: got %+v", i, got[i])
		}
	}
}

func TestExportEndsWithItsReasons(t *testing.T) {
	broken := &registry.Error{Kind: registry.Unavailable, Detail: "the state cannot be read"}
	client := serve(t, &fake{export: func(_ context.Context, _ identifier.Prefix, _ identifier.ID, yield func(*identifier.Record) error) error {
		return broken
	}}, rpc.Options{})
	err := client.Export(t.Context(), "", identifier.ID{}, func(*identifier.Record) error { return nil })
	var failure *registry.Error
	if !errors.As(err, &failure) || failure.Kind != registry.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}

	denied := &registry.Error{Kind: registry.Denied, Detail: "not you"}
	client = serve(t, &fake{}, rpc.Options{MayWatch: func(context.Context) error { return denied }})
	err = client.Export(t.Context(), "", identifier.ID{}, func(*identifier.Record) error { return nil })
	if !errors.As(err, &failure) || failure.Kind != registry.Denied {
		t.Errorf("got %v, want denied", err)
	}

	stop := errors.New("enough")
	client = serve(t, &fake{export: func(_ context.Context, _ identifier.Prefix, _ identifier.ID, yield func(*identifier.Record) error) error {
		for _, r := range records(1000) {
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	}}, rpc.Options{})
	if err := client.Export(t.Context(), "", identifier.ID{}, func(*identifier.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want what yield returned", err)
	}
}
