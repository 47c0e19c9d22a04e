package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// This file is another verifier, written from docs/RECEIPTS.md with the standard library
// alone: none of this module's packages is used, so that a fault in one of them cannot
// hide itself. It reports whether a receipt shows that the holder signed the row, that the
// row is in the node's log, and that the parent cosigned that; parent may be nil.

// octets reads a receipt from the front. It panics at the end, for verifyAlone to catch.
type octets struct{ b []byte }

func (o *octets) take(n int) []byte { b := o.b[:n]; o.b = o.b[n:]; return b }
func (o *octets) u8() int           { return int(o.take(1)[0]) }
func (o *octets) uvarint() uint64   { v, n := binary.Uvarint(o.b); o.take(n); return v }
func (o *octets) text() []byte      { return o.take(int(o.uvarint())) }
func (o *octets) hashes() (list [][]byte) {
	for n := o.u8(); n > 0; n-- {
		list = append(list, o.take(32))
	}
	return list
}

func hash(parts ...[]byte) []byte {
	h := sha256.Sum256(bytes.Join(parts, nil))
	return h[:]
}

// rootFrom follows an inclusion path (RFC 9162, section 2.1.3.2).
func rootFrom(leaf []byte, path [][]byte, index, size uint64) ([]byte, error) {
	if index >= size {
		return nil, errors.New("no such leaf")
	}
	fn, sn, r := index, size-1, leaf
	for _, p := range path {
		if sn == 0 {
			return nil, errors.New("the path is too long")
		}
		if fn&1 == 1 || fn == sn {
			r = hash([]byte{1}, p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = hash([]byte{1}, r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 {
		return nil, errors.New("the path is too short")
	}
	return r, nil
}

func verifyAlone(receipt []byte, holder, node, parent ed25519.PublicKey) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it is cut")
		}
	}()
	o := &octets{receipt}
	if string(o.take(19)) != "nameplate receipt\n\x01" {
		return errors.New("it is no receipt")
	}
	log := o.take(16)
	if o.u8() != 1 || !bytes.Equal(o.text(), node) {
		return errors.New("another node")
	}
	position := binary.BigEndian.Uint64(o.take(8))
	leaf, inclusion, row := o.text(), o.hashes(), o.text()
	idSalt, valueSalt := o.take(32), o.take(32)
	index, path := binary.BigEndian.Uint32(o.take(4)), o.hashes()
	cosigned, checkpoint := o.u8() == 2, o.text()
	if len(o.b) != 0 {
		return errors.New("something stands behind it")
	}

	// The row, as its leaf in the tree of the change has it.
	o = &octets{row}
	op, version, replaces := o.take(1), o.uvarint(), make([]byte, 32)
	if version > 1 {
		replaces = o.take(32)
	}
	identifier, content := o.text(), []byte(nil)
	if op[0] == 1 {
		content = o.text()
	}
	rowHash := hash([]byte{0, 1}, op, binary.BigEndian.AppendUint64(nil, version), replaces,
		hash([]byte("nameplate id\x00"), idSalt, identifier), hash([]byte("nameplate content\x00"), valueSalt, content))

	// The header that the holder signed.
	o = &octets{leaf}
	if o.u8() != 1 || o.u8() != 2 {
		return errors.New("not a change")
	}
	o.take(6) // the node's time
	header := o.text()
	signed := fmt.Appendf(nil, "DSSEv1 35 application/vnd.nameplate.change.v1 %d %s", len(header), header)
	good := false
	for n := o.u8(); n > 0; n-- {
		o.take(8) // the key's name
		good = ed25519.Verify(holder, signed, o.text()) || good
	}
	if !good {
		return errors.New("the holder has not signed")
	}
	o = &octets{header}
	o.take(1)
	prefix := string(o.text())
	o.uvarint()
	o.uvarint()
	rows, root := o.uvarint(), []byte(nil)
	if root = o.take(32); !strings.HasPrefix(string(identifier)+"/", prefix+"/") && !strings.HasPrefix(string(identifier), prefix+".") {
		return errors.New("the row does not lie below the prefix")
	}
	if got, err := rootFrom(rowHash, path, uint64(index), rows); err != nil || !bytes.Equal(got, root) {
		return fmt.Errorf("the row is not one of the change: %v", err)
	}

	// The log, and who stands for it.
	if cosigned {
		o = &octets{checkpoint}
		o.take(2)
		checkpoint = o.text()
	}
	text, signatures, _ := strings.Cut(string(checkpoint), "\n\n")
	text += "\n"
	lines := strings.Split(text, "\n")
	origin := fmt.Sprintf("nameplate.id/log/%x", log)
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || lines[0] != origin {
		return errors.New("not a checkpoint of the log")
	}
	treeRoot, err := rootFrom(hash([]byte{0}, leaf), inclusion, position, size)
	if err != nil || base64.StdEncoding.EncodeToString(treeRoot) != lines[2] {
		return fmt.Errorf("the change is not in the log: %v", err)
	}
	byNode, byParent := false, false
	for _, line := range strings.Split(strings.TrimSuffix(signatures, "\n"), "\n") {
		name, encoded, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		s, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(s) < 68 {
			return errors.New("a signature cannot be read")
		}
		if name == origin {
			byNode = byNode || ed25519.Verify(node, []byte(text), s[4:])
		} else if parent != nil && len(s) == 76 {
			message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(s[4:]), text)
			byParent = byParent || ed25519.Verify(parent, []byte(message), s[12:])
		}
	}
	if !byNode || parent != nil && !byParent {
		return errors.New("the node, or the parent, has not signed")
	}
	return nil
}
