package replica_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// nodeKey returns the key of a node, the same for the same number.
func nodeKey(number byte) identifier.PrivateKey {
	key, err := identifier.NewPrivateKey(bytes.NewReader(bytes.Repeat([]byte{number}, 32)))
	if err != nil {
		panic(err)
	}
	return key
}

func logID(number byte) identifier.LogID { return identifier.LogID{15: number} }

func origin(log identifier.LogID) string { return "nameplate.id/log/" + hex.EncodeToString(log[:]) }

// keySigner is a note.Signer.
type keySigner struct {
	note.Verifier
	key identifier.PrivateKey
}

func (s keySigner) Sign(text []byte) ([]byte, error) { return s.key.Sign(text), nil }

func verifierOf(log identifier.LogID, key identifier.PublicKey) note.Verifier {
	text, err := note.NewEd25519VerifierKey(origin(log), ed25519.PublicKey(key.Raw))
	if err != nil {
		panic(err)
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		panic(err)
	}
	return v
}

func signCheckpoint(size uint64, root identifier.Hash, log identifier.LogID, key identifier.PrivateKey) []byte {
	text := fmt.Sprintf("%s\n%d\n%s\n", origin(log), size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, keySigner{verifierOf(log, key.Public()), key})
	if err != nil {
		panic(err)
	}
	return signed
}

func verifyCheckpoint(text []byte, log identifier.LogID, key identifier.PublicKey) (uint64, identifier.Hash, error) {
	n, err := note.Open(text, note.VerifierList(verifierOf(log, key)))
	if err != nil {
		return 0, identifier.Hash{}, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != origin(log) {
		return 0, identifier.Hash{}, errors.New("no checkpoint")
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil {
		return 0, identifier.Hash{}, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != 32 {
		return 0, identifier.Hash{}, errors.New("no root")
	}
	return size, identifier.Hash(root), nil
}

// entry returns an encoded entry that no other number has.
func entry(number uint64, octets int) []byte {
	payload := binary.BigEndian.AppendUint64(nil, number)
	payload = append(payload, make([]byte, octets)...)
	b, err := identifier.AppendEntry(nil, &identifier.Entry{
		Kind: identifier.EntryDelegation, Time: time.UnixMilli(int64(number)),
		Envelope: identifier.Envelope{
			PayloadType: identifier.DelegationType, Payload: payload,
			Signatures: []identifier.Signature{{Signature: []byte("signed")}},
		},
	})
	if err != nil {
		panic(err)
	}
	return b
}

// memoryLog is a child's log in memory. Its tree is the one of package tlog, which the
// machines do not use.
type memoryLog struct {
	id       identifier.LogID
	key      identifier.PrivateKey
	payloads [][]byte
	roots    []identifier.Hash // by size
	hashes   []tlog.Hash
	synced   uint64
	readable func() error // nil for always
}

func newMemoryLog(number byte) *memoryLog {
	return &memoryLog{id: logID(number), key: nodeKey(number), roots: []identifier.Hash{treeRoot(0, nil)}}
}

func treeRoot(size int64, hashes []tlog.Hash) identifier.Hash {
	root, err := tlog.TreeHash(size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	}))
	if err != nil {
		panic(err)
	}
	return identifier.Hash(root)
}

// append adds an entry, not yet synced.
func (l *memoryLog) append(payload []byte) {
	leaf, err := identifier.EntryLeaf(payload)
	if err != nil {
		panic(err)
	}
	n := int64(len(l.payloads))
	stored, err := tlog.StoredHashes(n, leaf, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, l.hashes[i])
		}
		return out, nil
	}))
	if err != nil {
		panic(err)
	}
	l.hashes = append(l.hashes, stored...)
	l.payloads = append(l.payloads, payload)
	l.roots = append(l.roots, treeRoot(n+1, l.hashes))
}

// crash loses what is not synced, except for the first keep entries of it.
func (l *memoryLog) crash(keep uint64) {
	l.synced += keep
	l.payloads, l.roots = l.payloads[:l.synced:l.synced], l.roots[:l.synced+1:l.synced+1]
	l.hashes = l.hashes[:tlog.StoredHashCount(int64(l.synced))]
}

func (l *memoryLog) check(size uint64) error {
	if size > l.synced {
		return fmt.Errorf("size %d was asked for, %d are synced", size, l.synced)
	}
	if l.readable != nil {
		return l.readable()
	}
	return nil
}

func (l *memoryLog) Entries(from uint64, entries, octets int) ([][]byte, error) {
	if err := l.check(from + 1); err != nil {
		return nil, err
	}
	end := from
	for end < l.synced && end-from < uint64(entries) {
		if octets -= len(l.payloads[end]); octets < 0 && end > from {
			break
		}
		end++
	}
	return l.payloads[from:end], nil
}

func (l *memoryLog) Root(size uint64) (identifier.Hash, error) {
	if err := l.check(size); err != nil {
		return identifier.Hash{}, err
	}
	return l.roots[size], nil
}

func (l *memoryLog) SignCheckpoint(size uint64) ([]byte, identifier.Hash, error) {
	root, err := l.Root(size)
	if err != nil {
		return nil, root, err
	}
	return signCheckpoint(size, root, l.id, l.key), root, nil
}
