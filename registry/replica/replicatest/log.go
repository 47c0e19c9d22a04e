// Package replicatest has what tests of the replication need on either side: logs in
// memory, entries to put into them, and checkpoints. The Merkle tree and the signed notes
// are those of x/mod, which the code under test uses for neither.
package replicatest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// NodeKey returns the key of a node, the same for the same number.
func NodeKey(number byte) identifier.PrivateKey {
	key, err := identifier.NewPrivateKey(bytes.NewReader(bytes.Repeat([]byte{number}, 32)))
	if err != nil {
		panic(err)
	}
	return key
}

// LogID returns the id of a log, the same for the same number.
func LogID(number byte) identifier.LogID { return identifier.LogID{15: number} }

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

// SignCheckpoint is what journal.SignCheckpoint is.
func SignCheckpoint(size uint64, root identifier.Hash, log identifier.LogID, key identifier.PrivateKey) []byte {
	text := fmt.Sprintf("%s\n%d\n%s\n", origin(log), size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, keySigner{verifierOf(log, key.Public()), key})
	if err != nil {
		panic(err)
	}
	return signed
}

// VerifyCheckpoint is what journal.VerifyCheckpoint is.
func VerifyCheckpoint(text []byte, log identifier.LogID, key identifier.PublicKey) (uint64, identifier.Hash, error) {
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

// Entry returns an encoded entry that no other number has, of so many octets and some
// more.
func Entry(number uint64, octets int) []byte {
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

// Log is a child's log in memory. It may be used concurrently.
type Log struct {
	// ID and Key are the log's id and its node's key.
	ID  identifier.LogID
	Key identifier.PrivateKey
	// Readable returns an error when the log cannot be read; nil for always.
	Readable func() error

	mu       sync.Mutex
	payloads [][]byte
	roots    []identifier.Hash // by size
	hashes   []tlog.Hash
	synced   uint64
	grew     chan struct{}
}

// NewLog returns an empty log.
func NewLog(number byte) *Log {
	l := &Log{ID: LogID(number), Key: NodeKey(number), grew: make(chan struct{})}
	l.roots = []identifier.Hash{l.treeRoot(0)}
	return l
}

func (l *Log) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, l.hashes[i])
		}
		return out, nil
	})
}

func (l *Log) treeRoot(size int64) identifier.Hash {
	root, err := tlog.TreeHash(size, l.reader())
	if err != nil {
		panic(err)
	}
	return identifier.Hash(root)
}

// Append adds an entry, not yet synced.
func (l *Log) Append(payload []byte) {
	leaf, err := identifier.EntryLeaf(payload)
	if err != nil {
		panic(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(len(l.payloads))
	stored, err := tlog.StoredHashes(n, leaf, l.reader())
	if err != nil {
		panic(err)
	}
	l.hashes = append(l.hashes, stored...)
	l.payloads = append(l.payloads, payload)
	l.roots = append(l.roots, l.treeRoot(n+1))
}

// Sync syncs what was appended.
func (l *Log) Sync() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced = uint64(len(l.payloads))
	close(l.grew)
	l.grew = make(chan struct{})
}

// Crash loses what is not synced, except for the first keep entries of it.
func (l *Log) Crash(keep uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced += keep
	l.cut(l.synced)
}

// Restore takes the log back to how it was with fewer entries.
func (l *Log) Restore(size uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced = size
	l.cut(size)
}

func (l *Log) cut(size uint64) {
	l.payloads, l.roots = l.payloads[:size:size], l.roots[:size+1:size+1]
	n := tlog.StoredHashCount(int64(size))
	l.hashes = l.hashes[:n:n]
}

// Synced returns how many entries are synced.
func (l *Log) Synced() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.synced
}

// Waiting returns how many entries are not synced.
func (l *Log) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.payloads) - int(l.synced)
}

// LogID returns the log's id.
func (l *Log) LogID() identifier.LogID { return l.ID }

// Growth returns how many entries are synced, and a channel that is closed when there
// are more.
func (l *Log) Growth() (uint64, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.synced, l.grew
}

func (l *Log) check(size uint64) error {
	if size > l.synced {
		return fmt.Errorf("size %d was asked for, %d are synced", size, l.synced)
	}
	if l.Readable != nil {
		return l.Readable()
	}
	return nil
}

// Entries is that of replica.Log.
func (l *Log) Entries(from uint64, entries, octets int) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
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
	return l.payloads[from:end:end], nil
}

// Root is that of replica.Log.
func (l *Log) Root(size uint64) (identifier.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.check(size); err != nil {
		return identifier.Hash{}, err
	}
	return l.roots[size], nil
}

// Prove is that of replica.Log.
func (l *Log) Prove(old, size uint64) ([]identifier.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.check(size); err != nil {
		return nil, err
	}
	return Prove(l.payloads[:size], old)
}

// SignCheckpoint is that of replica.Log.
func (l *Log) SignCheckpoint(size uint64) ([]byte, identifier.Hash, error) {
	root, err := l.Root(size)
	if err != nil {
		return nil, root, err
	}
	return SignCheckpoint(size, root, l.ID, l.Key), root, nil
}

// CheckMirror returns an error unless payloads are the beginning of the log, byte for
// byte, up to a checkpoint that its node signed.
func (l *Log) CheckMirror(payloads [][]byte, checkpoint []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := uint64(len(payloads))
	if n > l.synced {
		return fmt.Errorf("the mirror has %d entries, the child has synced %d", n, l.synced)
	}
	for i, p := range payloads {
		if !bytes.Equal(p, l.payloads[i]) {
			return fmt.Errorf("entry %d is not the child's", i)
		}
	}
	if n == 0 {
		return nil
	}
	size, root, err := VerifyCheckpoint(checkpoint, l.ID, l.Key.Public())
	if err != nil || size != n || root != l.roots[n] {
		return fmt.Errorf("the mirror of %d entries ends with a checkpoint of size %d, root %x: %v", n, size, root, err)
	}
	return nil
}

// Subtrees returns the roots of the complete subtrees that entries make up, the largest
// first, as replica.Mirror has them.
func Subtrees(payloads [][]byte) []identifier.Hash {
	var out []identifier.Hash
	for len(payloads) > 0 {
		n := 1 << (bits.Len(uint(len(payloads))) - 1)
		out = append(out, identifier.Hash(subtree(payloads[:n])))
		payloads = payloads[n:]
	}
	return out
}

func subtree(payloads [][]byte) tlog.Hash {
	if len(payloads) == 1 {
		leaf, err := identifier.EntryLeaf(payloads[0])
		if err != nil {
			panic(err)
		}
		return tlog.RecordHash(leaf)
	}
	half := len(payloads) / 2
	return tlog.NodeHash(subtree(payloads[:half]), subtree(payloads[half:]))
}

// Subtrees is that of replica.Edge.
func (l *Log) Subtrees() (uint64, []identifier.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.synced, Subtrees(l.payloads[:l.synced]), nil
}

// Payloads returns the entries that are synced.
func (l *Log) Payloads() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.payloads[:l.synced:l.synced]
}

// Root returns the Merkle root over entries.
func Root(payloads [][]byte) identifier.Hash {
	root, err := tlog.TreeHash(int64(len(payloads)), treeOf(payloads))
	if err != nil {
		panic(err)
	}
	return identifier.Hash(root)
}

// Prove returns the proof that the first old of some entries are their beginning.
func Prove(payloads [][]byte, old uint64) ([]identifier.Hash, error) {
	proof, err := tlog.ProveTree(int64(len(payloads)), int64(old), treeOf(payloads))
	var hashes []identifier.Hash
	for _, h := range proof {
		hashes = append(hashes, identifier.Hash(h))
	}
	return hashes, err
}

// treeOf reads the hashes of the tree over entries.
func treeOf(payloads [][]byte) tlog.HashReader {
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	for i, p := range payloads {
		leaf, err := identifier.EntryLeaf(p)
		if err != nil {
			panic(err)
		}
		stored, err := tlog.StoredHashes(int64(i), leaf, read)
		if err != nil {
			panic(err)
		}
		hashes = append(hashes, stored...)
	}
	return read
}
