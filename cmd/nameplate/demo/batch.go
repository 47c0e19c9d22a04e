package demo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// againAfter is how long what got no answer is left alone before it is asked for again: the
// recursive node says the same for five seconds (RFC 9520).
const againAfter = 6 * time.Second

// batchResolver asks for many identifiers in one stream, as [resolverrpc.Client] does.
type batchResolver interface {
	ResolveBatch(context.Context, resolver.Query, iter.Seq[identifier.ID]) iter.Seq2[resolverrpc.Result, error]
}

// batch asks a node for rows in one stream over gRPC and compares all. Who asks a name server
// asks again when it had no answer in time; a busy machine makes that so. Then it is told, for a
// node that stalls would look alike.
func (d *demo) batch(ctx context.Context, x *network.Node, rows []row) error {
	client, err := d.records(x)
	if err != nil {
		return err
	}
	defer client.Close()
	began := time.Now()
	late, err := askAll(ctx, client, x.Recursive, rows)
	if late > 0 && err == nil {
		d.tell.note("%s of %s answers of node %s came only when it was asked again, within %.0f s in all: the machine has other work",
			count(late), count(len(rows)), x.Name, time.Since(began).Seconds())
	}
	return err
}

// askAll asks for rows, and again for those that got no answer, while there is patience. It
// returns how many had to be asked for again.
func askAll(ctx context.Context, c batchResolver, recursive bool, rows []row) (late int, err error) {
	differing, of := &differences{}, len(rows)
	for began := time.Now(); ; {
		waiting, last, err := askOnce(ctx, c, recursive, rows, differing)
		if err != nil {
			return late, err
		}
		if len(waiting) == 0 {
			return late, differing.err(of)
		}
		if time.Since(began) > patience {
			return late, fmt.Errorf("%s of %s questions got no answer within %v: %w", count(len(waiting)), count(of), patience, last)
		}
		late, rows = max(late, len(waiting)), waiting
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return late, context.Cause(ctx)
		}
	}
}

// askOnce asks for rows once. It returns those that got no answer, and why the last of them
// got none.
func askOnce(ctx context.Context, c batchResolver, recursive bool, rows []row, differing *differences) (waiting []row, last error, err error) {
	ids := make([]identifier.ID, len(rows))
	for i, r := range rows {
		if ids[i], err = identifier.Parse(r.says().spelling); err != nil {
			return nil, nil, err
		}
	}
	answered := 0
	for result, err := range c.ResolveBatch(ctx, resolver.Query{Recursive: recursive}, slices.Values(ids)) {
		if err != nil {
			return nil, nil, err
		}
		r := rows[answered]
		answered++
		if e, ok := errors.AsType[*resolver.Error](result.Err); ok && (e.Kind == resolver.Unavailable || e.Kind == resolver.Overloaded) {
			waiting, last = append(waiting, r), fmt.Errorf("%v: %w", r, result.Err)
			continue
		}
		err := result.Err
		if err == nil {
			err = r.says().compare(&result.Answer)
		}
		if err != nil {
			differing.add(fmt.Errorf("%v: %w", r, err))
		}
	}
	if answered != len(rows) {
		return nil, nil, fmt.Errorf("%s of %s questions over gRPC were answered", count(answered), count(len(rows)))
	}
	return waiting, last, nil
}
