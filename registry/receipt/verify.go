package receipt

import (
	"fmt"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Keys are those that a verifier trusts, and for what.
type Keys struct {
	// Holders are the keys of who holds the prefix, of which Threshold must have signed;
	// 0 counts as 1.
	Holders   []identifier.PublicKey
	Threshold int
	// Nodes are those whose logs count, Parents those whose cosignatures do.
	Nodes, Parents []identifier.PublicKey
	// Tops are the top-level nodes. One of them counts as a parent too.
	Tops []identifier.PublicKey
}

// Verdict is what a receipt proves.
type Verdict struct {
	Header identifier.Header // that was signed
	Time   time.Time         // by the clock of the node that logged it
	Size   uint64            // of the checkpoint
	// Agent says that the node signed on behalf of whom Header.Agent names, and no key of
	// the holder did.
	Agent bool
	// Anchored says that a parent has cosigned, at the time Cosigned by its clock; Rooted
	// that the way up ends at a top-level node.
	Anchored, Rooted bool
	Cosigned         time.Time
	Cosigner         identifier.PublicKey
}

// Level names how far what is proved is secured: local, anchored or rooted.
func (v *Verdict) Level() string {
	switch {
	case v.Rooted:
		return "rooted"
	case v.Anchored:
		return "anchored"
	}
	return "local"
}

// Verify returns what the receipt proves to whoever trusts these keys. It needs nothing
// else. The error says which step fails. A cosignature of a node that is not among the
// keys proves nothing, and is no error.
func (r *Receipt) Verify(k Keys) (*Verdict, error) {
	if !slices.Contains(k.Nodes, r.Node) {
		return nil, fmt.Errorf("the log is that of node %s, which is not among the trusted nodes: get its key from who delegates to it", r.Node)
	}
	v, err := r.verifyRow(k)
	if err != nil {
		return nil, err
	}
	size, root, err := journal.VerifyCheckpoint(r.checkpoint(), r.Log, r.Node)
	if err != nil {
		return nil, err
	}
	v.Size = size
	if err := journal.CheckInclusion(r.Inclusion, r.Position, size, root, journal.LeafHash(r.Leaf)); err != nil {
		return nil, fmt.Errorf("the change is not entry %d of the checkpoint: %w", r.Position, err)
	}
	if r.Cosigned == nil {
		return v, nil
	}
	return v, r.verifyCosigned(k, v)
}

// verifyRow checks that the row is one of a change that the holder signed.
func (r *Receipt) verifyRow(k Keys) (*Verdict, error) {
	e, err := identifier.ParseLeaf(r.Leaf)
	if err != nil {
		return nil, err
	}
	if e.Kind != identifier.EntryChange {
		return nil, fmt.Errorf("the entry is not a change: this is no receipt for a registration")
	}
	v := &Verdict{Time: e.Time}
	if v.Header, err = identifier.ParseHeader(e.Envelope.Payload); err != nil {
		return nil, err
	}
	if err := r.Row.Check(v.Header.Prefix); err != nil {
		return nil, fmt.Errorf("row: %w", err)
	}
	hash, err := identifier.RowHash(&r.Row, r.IDSalt, r.ValueSalt)
	if err != nil {
		return nil, fmt.Errorf("row: %w", err)
	}
	if !r.Path.Verify(hash, v.Header) {
		return nil, fmt.Errorf("the row is not one of those that the header was signed over: it, its salts or its path have been changed")
	}
	if v.Header.Agent != "" {
		v.Agent = true
		if e.Envelope.SignedBy([]identifier.PublicKey{r.Node}) == 0 {
			return nil, fmt.Errorf("the change names an agent, and node %s has not signed it", r.Node)
		}
		return v, nil
	}
	if n, need := e.Envelope.SignedBy(k.Holders), max(1, k.Threshold); n < need {
		return nil, fmt.Errorf("%d good signatures of the trusted holders, %d are needed: is this the keyset of prefix %s, version %d?", n, need, v.Header.Prefix, v.Header.KeysetVersion)
	}
	return v, nil
}

// verifyCosigned checks who has cosigned, and how far up that leads.
func (r *Receipt) verifyCosigned(k Keys, v *Verdict) error {
	c := r.Cosigned
	if _, _, err := c.Check(replica.Verifier{Checkpoint: journal.VerifyCheckpoint, Cosignature: cosigned}, r.Log, r.Node); err != nil {
		return err
	}
	at, err := journal.VerifyCosignature(c.Note, c.Cosigner)
	if err != nil {
		return err
	}
	v.Cosigned, v.Cosigner = at, c.Cosigner
	v.Anchored = slices.Contains(k.Parents, c.Cosigner) || slices.Contains(k.Tops, c.Cosigner)
	last := c.Cosigner
	if n := len(c.Links); n > 0 {
		last = c.Links[n-1].Cosigner
	}
	v.Rooted = v.Anchored && slices.Contains(k.Tops, last)
	return nil
}

// cosigned is [journal.VerifyCosignature] without the time.
func cosigned(note []byte, by identifier.PublicKey) error {
	_, err := journal.VerifyCosignature(note, by)
	return err
}
