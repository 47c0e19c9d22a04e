package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

// ownLog is the number of the node's own log in its journal and its state.
const ownLog = 0

// Keys of the notes that the state keeps beside a log.
const (
	genesisNote    = "genesis"    // the payload of entry 0
	checkpointNote = "checkpoint" // the newest signed checkpoint
	grantNote      = "grant/"     // + key of the prefix: the grant by which it is answered here
	givenNote      = "given/"     // + key of the prefix: the envelope of its delegation
	givenKeysNote  = "keyset/"    // + key of the prefix: the newest keyset change of it
	gaveToNote     = "gaveto/"    // + key of a node, and of a prefix: what it was given, where its log is witnessed
	gaveNote       = "gave/"      // + hash of the payload: a delegation or keyset change that was ever made
)

// effect is what an entry adds to the state. Applying never judges: an entry that
// stands in the log was admitted, and means the same whenever it is read again.
type effect struct {
	mutations []state.Mutation
	holds     *held  // what came into force; nil for nothing
	fence     *fence // that is kept from here on; nil for none
	origin    *place // the same
}

// inForce reports whether something comes into force that others are judged by.
func (x *effect) inForce() bool { return x.holds != nil || x.fence != nil || x.origin != nil }

// effectOf works out what an entry of this node's own log means. known are the
// holders as of the entry before.
func effectOf(e *identifier.Entry, position uint64, known *holders) (effect, error) {
	switch e.Kind {
	case identifier.EntryGenesis:
		return effect{mutations: []state.Mutation{noteMutation(genesisNote, e.Envelope.Payload)}}, nil
	case identifier.EntryChange:
		return effectOfRows(e, position)
	case identifier.EntryGrant, identifier.EntryDelegation:
		d, err := identifier.ParseDelegation(e.Envelope.Payload)
		if err != nil {
			return effect{}, err
		}
		return effectOfDelegation(held{delegation: d, position: position, granted: position, apex: e.Kind == identifier.EntryGrant}, &e.Envelope)
	case identifier.EntryKeyset:
		k, err := identifier.ParseKeysetChange(e.Envelope.Payload)
		if err != nil {
			return effect{}, err
		}
		current := known.heldAt(k.Prefix)
		if current.delegation == nil {
			return effect{}, fmt.Errorf("keyset change of prefix %q: the log holds no delegation of it before", k.Prefix)
		}
		d := *current.delegation
		d.Keyset = k.Keyset
		return effectOfDelegation(held{delegation: &d, position: position, granted: current.granted, apex: current.apex}, &e.Envelope)
	case identifier.EntryChildren:
		return effectOfChildren(e, position)
	case identifier.EntryFence:
		return effectOfFence(e, position)
	case identifier.EntryOrigin:
		return effectOfOrigin(e, position)
	}
	return effect{}, fmt.Errorf("entry of kind %d: this release does not know it", e.Kind)
}

func noteMutation(name string, note []byte) state.Mutation {
	return state.Mutation{Table: state.Notes, Key: []byte(name), Value: sum([]byte(name), note)}
}

func effectOfDelegation(h held, signed *identifier.Envelope) (effect, error) {
	key := identifier.AppendPrefixKey(nil, h.delegation.Prefix)
	stored, err := identifier.AppendStoredDelegation(nil, key, h.delegation, h.position, h.granted)
	if err != nil {
		return effect{}, err
	}
	m := state.Mutation{Table: state.Delegations, Key: key, Value: stored, Withdrawn: h.delegation.Revoked()}
	if h.apex {
		// A grant is not something below this node's apex: it has a place of its own.
		m = state.Mutation{Table: state.Notes, Key: append([]byte(grantNote), key...), Value: stored}
	}
	mutations := []state.Mutation{m}
	if s := h.delegation.Keyset.Suspect; s != nil {
		mutations = append(mutations, suspectMutation(h.delegation.Prefix, s, h.position))
	}
	if !h.apex {
		// The node that answers gets what was signed, and so does one that answered.
		kind := identifier.EntryDelegation
		if signed.PayloadType == identifier.KeysetType {
			kind = identifier.EntryKeyset
		}
		leaf := identifier.AppendLeaf(nil, &identifier.Entry{Kind: kind, Time: time.UnixMilli(0), Envelope: *signed})
		mutations = append(mutations, noteMutation(givenNoteName(h.delegation.Prefix, kind), leaf), noteMutation(gaveNoteName(signed), nil))
		if d := h.delegation; d.Policy == identifier.PolicyWitness && d.Node != nil {
			mutations = append(mutations, noteMutation(gaveToNoteName(d.Node.Key, d.Prefix), []byte(d.Prefix)))
		}
	}
	return effect{mutations: mutations, holds: &h}, nil
}

// givenNoteName is where the envelope stands by which a prefix, or the newest keyset of
// it, was given to another node.
func givenNoteName(p identifier.Prefix, kind identifier.EntryKind) string {
	note := givenNote
	if kind == identifier.EntryKeyset {
		note = givenKeysNote
	}
	return string(identifier.AppendPrefixKey([]byte(note), p))
}

// gaveToNoteName is the note that says that a prefix was once given to a node of whose log
// checkpoints alone are kept. An empty prefix stands for all.
func gaveToNoteName(node identifier.PublicKey, p identifier.Prefix) string {
	note := append([]byte(gaveToNote), byte(node.Type))
	note = append(binary.BigEndian.AppendUint16(note, uint16(len(node.Raw))), node.Raw...)
	if p == "" {
		return string(note)
	}
	return string(identifier.AppendPrefixKey(note, p))
}

// gaveNoteName is the note that says that an envelope was once what a prefix was given by.
func gaveNoteName(e *identifier.Envelope) string {
	h := sha256.New()
	h.Write([]byte(e.PayloadType))
	h.Write([]byte{0})
	h.Write(e.Payload)
	return gaveNote + string(h.Sum(nil))
}

// effectOfRows works out what the rows of a change mean.
func effectOfRows(e *identifier.Entry, position uint64) (effect, error) {
	x, err := e.Change().Examine()
	if err != nil {
		return effect{}, err
	}
	return effectOfExamined(e, x, position)
}

// tileRows is room for the rows that the log's tree adds to an entry's.
const tileRows = 4

// effectOfExamined is [effectOfRows] of a change that was examined. What is stored of its
// rows lies in one piece of memory.
func effectOfExamined(e *identifier.Entry, x *identifier.Examined, position uint64) (effect, error) {
	mutations := make([]state.Mutation, 0, len(e.Rows)+tileRows)
	all := make([]byte, 0, x.StoredSize())
	for i := range e.Rows {
		row := &e.Rows[i]
		begin := len(all)
		var err error
		if all, err = x.AppendStored(all, e, i, position); err != nil {
			return effect{}, fmt.Errorf("row %d, %s: %w", i, row.ID, err)
		}
		mutations = append(mutations, state.Mutation{Table: state.Records, Key: x.Key(i), Value: all[begin:len(all):len(all)], Withdrawn: row.Op == identifier.Withdraw})
		if row.Version == 1 && identifier.HashNamed(row.ID) {
			// The suffix stays findable by its hash when the record is withdrawn: the
			// record then tells that there is nothing.
			key := hashedKey(row.ID.Prefix, identifier.SuffixHash(row.ID.Suffix))
			mutations = append(mutations, state.Mutation{Table: state.Hashed, Key: key, Value: sum(key, []byte(row.ID.Suffix))})
		}
	}
	return effect{mutations: mutations}, nil
}

// hashedKey is where the suffix of an identifier stands whose DNS name has only
// the suffix's hash.
func hashedKey(p identifier.Prefix, hash identifier.Hash) []byte {
	return append(identifier.AppendPrefixKey(nil, p), hash[:]...)
}
