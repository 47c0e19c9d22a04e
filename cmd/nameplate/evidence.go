package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// shownEvidence is the evidence of a fork as a file holds it, for whoever is to judge it.
// docs/RECOVERY.md has the format.
type shownEvidence struct {
	Format int                  `json:"format"`
	Log    string               `json:"log"`
	Node   identifier.PublicKey `json:"node"`
	Held   string               `json:"held"`   // a checkpoint, as a signed note
	Signed string               `json:"signed"` // the one that contradicts it
	Root   string               `json:"root,omitempty"`
	Proof  []string             `json:"proof,omitempty"`
}

// shownFormat is the format of evidence in a file, and maxEvidenceFile how many octets
// of such a file are read.
const (
	shownFormat     = 1
	maxEvidenceFile = 1 << 20
)

func showEvidence(e *replica.Evidence) shownEvidence {
	s := shownEvidence{Format: shownFormat, Log: e.Log.String(), Node: e.Node, Held: string(e.Held), Signed: string(e.Signed)}
	if len(e.Proof) > 0 {
		s.Root = hex.EncodeToString(e.Root[:])
	}
	for _, h := range e.Proof {
		s.Proof = append(s.Proof, hex.EncodeToString(h[:]))
	}
	return s
}

// readEvidence reads the evidence in a file. It does not judge it.
func readEvidence(in io.Reader) (*replica.Evidence, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxEvidenceFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxEvidenceFile {
		return nil, fmt.Errorf("the evidence has more than %d octets", maxEvidenceFile)
	}
	var s shownEvidence
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("it is not the evidence of a fork: %w", err)
	}
	if s.Format != shownFormat {
		return nil, fmt.Errorf("the evidence has format %d, known here is %d: use the release that wrote it, or a newer one", s.Format, shownFormat)
	}
	e := &replica.Evidence{Node: s.Node, Held: []byte(s.Held), Signed: []byte(s.Signed)}
	fixed := func(name string, dst []byte, text string) error {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != len(dst) {
			return fmt.Errorf("%s is not %d octets in hexadecimal: %.80q", name, len(dst), text)
		}
		copy(dst, b)
		return nil
	}
	err = fixed("log", e.Log[:], s.Log)
	if s.Root != "" {
		err = errors.Join(err, fixed("root", e.Root[:], s.Root))
	}
	if len(s.Proof) > replica.MaxProof {
		return nil, fmt.Errorf("the proof has %d hashes, at most %d are possible", len(s.Proof), replica.MaxProof)
	}
	for _, text := range s.Proof {
		var h identifier.Hash
		err = errors.Join(err, fixed("proof", h[:], text))
		e.Proof = append(e.Proof, h)
	}
	return e, err
}

// judgeEvidence returns what the evidence shows. key is whose it must be, unless zero.
func judgeEvidence(e *replica.Evidence, key identifier.PublicKey) (replica.Divergence, error) {
	if key != (identifier.PublicKey{}) && e.Node != key {
		return replica.Divergence{}, fmt.Errorf("the evidence is against node key %s, not %s", e.Node, key)
	}
	return e.Check(journal.VerifyCheckpoint)
}
