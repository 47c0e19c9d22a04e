package state

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Format is the format of the files that this release writes, and the newest
// that it reads.
const Format = 1

// Names of the buckets beside those of the tables.
const (
	headerBucket = "nameplate state"
	logsBucket   = "logs"
)

// headerKey is the one key of headerBucket beside the pad.
const headerKey = "header"

// padKey and padSize are those of a row that every bucket holds, so that bbolt
// never keeps a small bucket inside another's page: what a reader gets then
// always lies in the mapped file, and its bounds can be checked. The key sorts
// before every other, which begin with four octets of log number.
const (
	padKey  = "\x00"
	padSize = pageSize/4 + 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the one row that says whose state this is and how far it has got.
//
//	format   u32
//	journal  16 octets
//	applied  u64
//	checksum u32, CRC-32C of what stands before it
type header struct {
	format  uint32
	journal [16]byte
	applied uint64
}

const headerSize = 4 + 16 + 8 + 4

func (h *header) encode() []byte {
	b := binary.BigEndian.AppendUint32(nil, h.format)
	b = append(b, h.journal[:]...)
	b = binary.BigEndian.AppendUint64(b, h.applied)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseHeader reads a header. The format stands at its beginning and the checksum
// at its end in every format to come, so that a newer one is told from damage.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, fmt.Errorf("its header has %d octets, fewer than %d", len(b), headerSize)
	}
	body := b[:len(b)-4]
	if got, want := crc32.Checksum(body, castagnoli), binary.BigEndian.Uint32(b[len(body):]); got != want {
		return header{}, fmt.Errorf("the checksum of its header is %08x, not %08x", got, want)
	}
	h := header{format: binary.BigEndian.Uint32(b)}
	if h.format > Format {
		return h, nil
	}
	if h.format == 0 || len(b) != headerSize {
		return h, fmt.Errorf("its header of format %d has %d octets", h.format, len(b))
	}
	copy(h.journal[:], b[4:20])
	h.applied = binary.BigEndian.Uint64(b[20:])
	return h, nil
}

// appendLog appends the row of a log in logsBucket.
//
//	position    u64
//	live, withdrawn, delegations, revoked  u64 each
//	records, others, local digest          32 octets each
//	checksum    u32, CRC-32C of key and value before it
func (t *Totals) appendLog(dst []byte, log uint32, position uint64) []byte {
	start := len(dst)
	for _, n := range []uint64{position, t.Live, t.Withdrawn, t.Delegations, t.Revoked} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	dst = append(dst, t.Records[:]...)
	dst = append(dst, t.Others[:]...)
	dst = append(dst, t.Local[:]...)
	return binary.BigEndian.AppendUint32(dst, logChecksum(log, dst[start:]))
}

const logRowSize = 5*8 + 3*32 + 4

// parseLog reads the row of a log.
func parseLog(key, b []byte) (log uint32, position uint64, t Totals, err error) {
	if len(key) != logSize || len(b) != logRowSize {
		return 0, 0, t, fmt.Errorf("the row of a log has %d and %d octets", len(key), len(b))
	}
	log = binary.BigEndian.Uint32(key)
	body := b[:logRowSize-4]
	if got, want := logChecksum(log, body), binary.BigEndian.Uint32(b[logRowSize-4:]); got != want {
		return 0, 0, t, fmt.Errorf("the checksum of the row of log %d is %08x, not %08x", log, got, want)
	}
	position = binary.BigEndian.Uint64(b)
	for i, n := range []*uint64{&t.Live, &t.Withdrawn, &t.Delegations, &t.Revoked} {
		*n = binary.BigEndian.Uint64(b[8*(i+1):])
	}
	copy(t.Records[:], b[40:72])
	copy(t.Others[:], b[72:104])
	copy(t.Local[:], b[104:136])
	return log, position, t, nil
}

func logChecksum(log uint32, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(binary.BigEndian.AppendUint32(nil, log), castagnoli), castagnoli, body)
}
