package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// row is a registration under way.
type row struct {
	registration *table.Registration
	version      uint64
	replaces     identifier.Hash
	size         int
	held         bool // it has taken its weight of the room
	// exact says that the holder of this very prefix has been asked for, and not only
	// a prefix found that covers it.
	exact bool
	tries int // how often it was refused for its version
}

func (r *row) weight() int64 { return int64(r.size + rowCost) }

// signable returns the row as a change carries it.
func (r *row) signable() *identifier.Row {
	return &identifier.Row{
		Op: identifier.Put, ID: r.registration.ID, Version: r.version, Replaces: r.replaces,
		Spelling: r.registration.Spelling, Values: r.registration.Values,
	}
}

// batch is rows that become one change.
type batch struct {
	holder *identifier.Delegation
	rows   []*row // ascending by identifier once it is signed
	size   int
	change *identifier.Change
	made   time.Time     // when it was signed
	pause  time.Duration // before it is sent again
}

// gatherer puts rows into batches, one for each holder. It is for one goroutine.
type gatherer struct {
	intake  *Intake
	batches map[identifier.Prefix]*batch
}

// maxSize leaves room for the version and the row hash that a row may still get.
const maxSize = identifier.MaxChange * 3 / 4

// add puts a row into the batch of its holder. A row that nobody of us can sign for is
// settled. The error is the node's.
func (g *gatherer) add(ctx context.Context, r *row) error {
	holder, err := g.intake.holder(ctx, r.registration.ID.Prefix, r.exact)
	if err != nil {
		return err
	}
	if reason := g.intake.cannotSign(holder, r.registration.ID.Prefix); reason != "" {
		if holder != nil && !r.exact && holder.Prefix != r.registration.ID.Prefix {
			// Somebody else may hold a longer prefix.
			r.exact = true
			return g.add(ctx, r)
		}
		g.intake.outcome(r, Failed, reason)
		return nil
	}
	b := g.batches[holder.Prefix]
	if b != nil && (b.holder != holder || len(b.rows) >= g.intake.options.Rows || b.size+r.size > maxSize) {
		g.intake.unsigned <- b
		b = nil
	}
	if b == nil {
		b = &batch{holder: holder}
		g.batches[holder.Prefix] = b
	}
	b.rows = append(b.rows, r)
	b.size += r.size
	return nil
}

// flush sends what has been gathered on its way.
func (g *gatherer) flush() {
	for prefix, b := range g.batches {
		g.intake.unsigned <- b
		delete(g.batches, prefix)
	}
}

// signers returns those of our keys that a keyset has.
func (i *Intake) signers(of identifier.Keyset) []identifier.PrivateKey {
	var keys []identifier.PrivateKey
	for _, key := range i.options.Keys {
		if slices.Contains(of.Keys, key.Public()) {
			keys = append(keys, key)
		}
	}
	return keys
}

// cannotSign returns why a row below a prefix cannot be signed for a holder; "" when
// it can.
func (i *Intake) cannotSign(holder *identifier.Delegation, prefix identifier.Prefix) string {
	if holder == nil || holder.Revoked() {
		return fmt.Sprintf("prefix %s is delegated to nobody at this node: have it, or one above it, delegated first", prefix)
	}
	have, need := len(i.signers(holder.Keyset)), holder.Keyset.Threshold
	if have >= need {
		return ""
	}
	through := ""
	switch holder.Prefix {
	case prefix:
	case "":
		through = " through the root"
	default:
		through = fmt.Sprintf(" through prefix %s", holder.Prefix)
	}
	if have == 0 {
		return fmt.Sprintf("prefix %s is held%s by key %s and none of your keys is it: sign with --key of its holder, or have it delegated to you", prefix, through, holder.Keyset.Keys[0].ID())
	}
	return fmt.Sprintf("prefix %s is held%s by keys of which %d must sign and you have %d: give more with --key", prefix, through, need, have)
}

// sign signs a batch and hands it to the sender. A row that cannot be part of a
// change is settled.
func (i *Intake) sign(b *batch) {
	slices.SortFunc(b.rows, func(x, y *row) int {
		return identifier.Compare(x.registration.ID, y.registration.ID)
	})
	for len(b.rows) > 0 {
		rows := make([]identifier.Row, len(b.rows))
		for n, r := range b.rows {
			rows[n] = *r.signable()
		}
		b.made = time.Now()
		header := identifier.Header{
			Prefix: b.holder.Prefix, Epoch: b.holder.Epoch, KeysetVersion: b.holder.Keyset.Version,
			Expiry: b.made.Add(i.options.Expiry),
		}
		var err error
		if b.change, err = identifier.SignChange(header, rows, nil, i.signers(b.holder.Keyset)...); err == nil {
			i.signed <- b
			return
		}
		var bad *identifier.ChangeError
		if !errors.As(err, &bad) || bad.Row < 0 {
			i.failAll(b.rows, err.Error())
			return
		}
		i.outcome(b.rows[bad.Row], Failed, bad.Error())
		b.rows = slices.Delete(b.rows, bad.Row, bad.Row+1)
	}
}
