package state_test

import (
	"context"
	"path/filepath"
	"testing"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/state"
)

func TestSmoke(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := state.Open(path, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	at := uint64(10)
	for i := range 5000 {
		v := append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 200)...)
		err := s.Publish(ctx, state.Batch{Log: 1, Position: uint64(i + 1), At: at, End: at + 300, Mutations: []state.Mutation{{Table: state.Records, Key: fmt.Appendf(nil, "a%07d", i*7919%100000), Value: v}}})
		if err != nil {
			t.Fatal(err)
		}
		at += 300
		s.View(func(r *state.Reader) error {
			if r.Get(state.Records, 1, fmt.Appendf(nil, "a%07d", i*7919%100000)) == nil {
				t.Fatal("missing")
			}
			if !r.AnyWithPrefix(state.Records, 1, []byte("a")) {
				t.Fatal("any")
			}
			return nil
		})
	}
	tctx, c2 := context.WithTimeout(ctx, 5*time.Second)
	defer c2()
	if err := s.WaitApplied(tctx, at); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range s.Ascend(ctx, state.Records, 1, nil) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 5000 {
		t.Fatal(n)
	}
	if err := s.Check(ctx, nil); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = state.Open(path, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(s.Applied(), s.Positions(), s.Totals())
	s.Close()
}
