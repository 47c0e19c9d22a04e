package replica_test

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// disk is a parent's journal: frames behind one another, of which a crash keeps those
// that are synced and any prefix, octet by octet, of the others.
type disk struct {
	octets  []byte
	synced  int
	waiting []func() // to be called after the next sync
	starts  int
}

func (d *disk) append(child byte, u *replica.Unit, synced func()) {
	payload := replica.AppendUnit([]byte{child}, u)
	d.octets = binary.BigEndian.AppendUint32(d.octets, uint32(len(payload)))
	d.octets = binary.BigEndian.AppendUint32(d.octets, crc32.ChecksumIEEE(payload))
	d.octets = append(d.octets, payload...)
	d.waiting = append(d.waiting, synced)
}

// sync syncs what was appended, and tells.
func (d *disk) sync() {
	d.synced = len(d.octets)
	waiting := d.waiting
	d.waiting = nil
	for _, synced := range waiting {
		synced()
	}
}

// crash keeps so many octets of those that are not synced, and cuts a torn tail, as a
// start of the journal does.
func (d *disk) crash(keep int) {
	d.waiting = nil
	d.starts++
	d.octets = d.octets[: d.synced+keep : d.synced+keep]
	end := 0
	for range frames(d.octets) {
		end += 8 + int(binary.BigEndian.Uint32(d.octets[end:]))
	}
	d.octets = d.octets[:end:end]
	d.synced = end
}

// frames yields the payloads of the whole frames.
func frames(octets []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(octets) >= 8 {
			n := int(binary.BigEndian.Uint32(octets))
			if len(octets) < 8+n || crc32.ChecksumIEEE(octets[8:8+n]) != binary.BigEndian.Uint32(octets[4:]) {
				return
			}
			if !yield(octets[8 : 8+n]) {
				return
			}
			octets = octets[8+n:]
		}
	}
}

// mirrored returns what a part of the disk holds of a child's log.
func mirrored(octets []byte, child byte) (payloads [][]byte, checkpoint []byte, err error) {
	for frame := range frames(octets) {
		if frame[0] != child {
			continue
		}
		u, err := replica.ParseUnit(frame[1:])
		if err != nil {
			return nil, nil, err
		}
		if u.Start != uint64(len(payloads)) {
			return nil, nil, errGap
		}
		payloads, checkpoint = append(payloads, u.Payloads...), u.Checkpoint
	}
	return payloads, checkpoint, nil
}

// copyOn is a child's mirror on a disk, as far as it is synced.
type copyOn struct {
	disk  *disk
	child byte
}

func (h copyOn) payloads() [][]byte {
	payloads, _, err := mirrored(h.disk.octets[:h.disk.synced], h.child)
	if err != nil {
		panic(err)
	}
	return payloads
}

func (h copyOn) Root(size uint64) (identifier.Hash, error) {
	return replicatest.Root(h.payloads()[:size]), nil
}

func (h copyOn) Prove(old, size uint64) ([]identifier.Hash, error) {
	return replicatest.Prove(h.payloads()[:size], old)
}

func (h copyOn) Unit(position uint64) (*replica.Unit, error) {
	for frame := range frames(h.disk.octets[:h.disk.synced]) {
		if frame[0] != h.child {
			continue
		}
		u, err := replica.ParseUnit(frame[1:])
		if err != nil || u.Start <= position && position < u.End() {
			return u, err
		}
	}
	return nil, errGap
}

// found returns a mirror as a parent finds it on its disk when it starts.
func (d *disk) found(child byte) (replica.Mirror, error) {
	payloads, checkpoint, err := mirrored(d.octets, child)
	if err != nil {
		return replica.Mirror{}, err
	}
	return replica.Mirror{Checkpoint: checkpoint, Size: uint64(len(payloads)), Subtrees: replicatest.Subtrees(payloads)}, nil
}
