package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFrameLayout pins the octets of the package comment: they may never change.
func TestFrameLayout(t *testing.T) {
	id := journalID([]byte("0123456789abcdef"))
	frame := appendFrame(nil, Frame{Log: 0x01020304, Position: 0x05060708090a0b0c, Kind: KindEntry, Payload: []byte("payload")})
	sealFrame(frame, frameSeed(id, 7), 0x1234)

	covered := append([]byte("0123456789abcdef"), 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0x12, 0x34)
	rest := append([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 3}, "payload"...)
	length := []byte{0, 0, 0, 28}
	covered = append(append(covered, length...), rest...)
	want := binary.BigEndian.AppendUint32(length, crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli)))
	want = append(want, rest...)
	if !bytes.Equal(frame, want) {
		t.Errorf("got  %x\nwant %x", frame, want)
	}
	for at := int64(0x1230); at < 0x1238; at++ {
		if _, err := parseFrame(frame, frameSeed(id, 7), at); (err == nil) != (at == 0x1234) {
			t.Errorf("read at octet %d: got error %v", at, err)
		}
	}
	if _, err := parseFrame(frame, frameSeed(id, 8), 0x1234); err == nil {
		t.Error("the frame was read in another segment")
	}
	if _, err := parseFrame(frame, frameSeed(journalID{}, 7), 0x1234); err == nil {
		t.Error("the frame was read in another journal")
	}

	group := appendGroup(nil, KindGroup, id, 0x99, frameSeed(id, 7), 0x1234)
	if got, want := group[8:], append(append(make([]byte, 12), 1), "0123456789abcdef\x00\x00\x00\x00\x00\x00\x00\x99"...); !bytes.Equal(got, want) {
		t.Errorf("group: got %x, want %x", got, want)
	}
}

func TestSegmentHeaderLayout(t *testing.T) {
	id := journalID([]byte("0123456789abcdef"))
	s := newSegment("d", id, 3, 0x1000, 0x2000)
	got := s.appendHeader(nil, id)
	want := []byte("NPJ1\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x20\x000123456789abcdef")
	want = append(want, make([]byte, 12)...)
	want = binary.BigEndian.AppendUint32(want, crc32.Checksum(want, castagnoli))
	if !bytes.Equal(got, want) || len(got) != segmentHeader {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	back, backID, err := parseSegmentHeader(s.path, got)
	if err != nil || back != s || backID != id {
		t.Errorf("got %+v, error %v, want %+v", back, err, s)
	}
}

// tamper writes a journal of one entry, lets change its only segment, and returns
// what Open and Verify say then.
func tamper(t *testing.T, change func(s *segment, id journalID, octets []byte, end int64)) []error {
	t.Helper()
	dir := t.TempDir()
	o := Options{SegmentSize: MinSegmentSize}
	j, err := Open(dir, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(Frame{Kind: KindEntry, Payload: []byte("entry")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	path := segmentPath(dir, 0)
	octets, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, id, err := parseSegmentHeader(path, octets)
	if err != nil {
		t.Fatal(err)
	}
	change(&s, id, octets, int64(j.Synced()))
	if err := os.WriteFile(path, octets, 0o600); err != nil {
		t.Fatal(err)
	}
	_, verifyErr := Verify(dir, o, nil)
	j, err = Open(dir, 0, o)
	if err == nil {
		j.Close()
	}
	return []error{err, verifyErr}
}

// put writes a frame with a right checksum.
func put(s *segment, octets []byte, at int64, f Frame) {
	frame := appendFrame(nil, f)
	sealFrame(frame, s.seed, at)
	copy(octets[at:], frame)
}

// TestRefusedByName meets frames and formats of newer versions.
func TestRefusedByName(t *testing.T) {
	for kind := range 256 {
		k := Kind(kind)
		if k.carried() || k == KindGroup || k == KindEnd {
			continue
		}
		for _, err := range tamper(t, func(s *segment, _ journalID, octets []byte, end int64) {
			put(s, octets, end, Frame{Kind: k})
		}) {
			var format *FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), `"`+k.String()+`"`) || !strings.Contains(err.Error(), "newer version") {
				t.Errorf("%v: got %v, want an error that names it", k, err)
			}
		}
	}
	for _, err := range tamper(t, func(_ *segment, _ journalID, octets []byte, _ int64) {
		binary.BigEndian.PutUint32(octets[4:], 2)
		binary.BigEndian.PutUint32(octets[60:], crc32.Checksum(octets[:60], castagnoli))
	}) {
		var format *FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), "format 2") {
			t.Errorf("format 2: got %v, want an error that names it", err)
		}
	}
}

// TestWrongFrames meets frames with right checksums that break other rules.
func TestWrongFrames(t *testing.T) {
	group := func(id journalID, synced uint64) []byte {
		return binary.BigEndian.AppendUint64(append([]byte(nil), id[:]...), synced)
	}
	tests := []struct {
		name   string
		change func(s *segment, id journalID, octets []byte, end int64)
		want   string
	}{
		{"a group of the future", func(s *segment, id journalID, octets []byte, end int64) {
			put(s, octets, end, Frame{Kind: KindGroup, Payload: group(id, uint64(end)+1)})
		}, "was synced before it"},
		{"a group that goes back", func(s *segment, id journalID, octets []byte, end int64) {
			put(s, octets, end, Frame{Kind: KindGroup, Payload: group(id, 64)})
		}, "one before said"},
		{"a group of another journal", func(s *segment, _ journalID, octets []byte, end int64) {
			put(s, octets, end, Frame{Kind: KindGroup, Payload: group(journalID{1}, 64)})
		}, "not one of this journal"},
		{"a group with a log number", func(s *segment, id journalID, octets []byte, end int64) {
			put(s, octets, end, Frame{Log: 1, Kind: KindGroup, Payload: group(id, uint64(end))})
		}, "not one of this journal"},
		{"a short group", func(s *segment, id journalID, octets []byte, end int64) {
			put(s, octets, end, Frame{Kind: KindGroup, Payload: id[:]})
		}, "not one of this journal"},
		{"an end without a next segment", func(s *segment, id journalID, octets []byte, end int64) {
			put(s, octets, end, Frame{Kind: KindEnd, Payload: group(id, uint64(end))})
			os.Remove(segmentPath(filepath.Dir(s.path), 1))
		}, "missing"},
		{"an entry without a group", func(s *segment, _ journalID, octets []byte, _ int64) {
			clear(octets[segmentHeader:])
			put(s, octets, segmentHeader, Frame{Kind: KindEntry})
		}, "begins with a group"},
		{"an impossible length, with a group behind", func(_ *segment, _ journalID, octets []byte, _ int64) {
			octets[segmentHeader] = 0xff
		}, "cannot have"},
		{"a length beyond the segment, with a group behind", func(_ *segment, _ journalID, octets []byte, _ int64) {
			octets[segmentHeader+2] = 0xff
		}, "ends inside the frame"},
		{"nothing, with a group behind", func(_ *segment, _ journalID, octets []byte, end int64) {
			clear(octets[segmentHeader : end-groupSize])
		}, "nothing is written here"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, err := range tamper(t, test.change) {
				var damage *DamageError
				if !errors.As(err, &damage) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want damage: %q", err, test.want)
				}
			}
		})
	}
}

// TestSegmentSizeInHeader refuses sizes that would let a reader take too much.
func TestSegmentSizeInHeader(t *testing.T) {
	for _, size := range []uint64{0, MinSegmentSize - 1, MaxSegmentSize + 1, 1 << 63} {
		for _, err := range tamper(t, func(_ *segment, _ journalID, octets []byte, _ int64) {
			binary.BigEndian.PutUint64(octets[24:], size)
			binary.BigEndian.PutUint32(octets[60:], crc32.Checksum(octets[:60], castagnoli))
		}) {
			var format *FormatError
			if !errors.As(err, &format) {
				t.Errorf("size %d: got %v, want a format error", size, err)
			}
		}
	}
}

// TestFindGroupAcrossBlocks puts a group header at every place around where one
// block of the search ends.
func TestFindGroupAcrossBlocks(t *testing.T) {
	id := journalID([]byte("0123456789abcdef"))
	s := newSegment("d", id, 0, 0, 2*walkBlock)
	const from = 1000
	for at := int64(from + walkBlock - 2*groupSize); at < from+walkBlock+groupSize; at++ {
		octets := make([]byte, s.size)
		copy(octets[at:], appendGroup(nil, KindGroup, id, Offset(at), s.seed, at))
		got, found, err := findGroup(bytes.NewReader(octets), &s, id, from, Offset(at)-1)
		if err != nil || !found || got != at {
			t.Fatalf("a group at %d: got %d, %v, error %v", at, got, found, err)
		}
		if _, found, _ = findGroup(bytes.NewReader(octets), &s, id, from, Offset(at)); found {
			t.Fatalf("a group at %d proves what stands behind it", at)
		}
	}
}

// FuzzFrames reads a segment of arbitrary octets: what comes out must be exactly
// the octets of well-formed frames, and nothing may go wrong on the way.
func FuzzFrames(f *testing.F) {
	id := journalID([]byte("0123456789abcdef"))
	s := newSegment("d", id, 0, 0, MinSegmentSize)
	good := appendGroup(nil, KindGroup, id, segmentHeader, s.seed, segmentHeader)
	for _, k := range []Kind{KindEntry, KindCheckpoint, KindVote, 200} {
		frame := appendFrame(nil, Frame{Log: 1, Position: 2, Kind: k, Payload: bytes.Repeat([]byte{byte(k)}, int(k))})
		sealFrame(frame, s.seed, segmentHeader+int64(len(good)))
		good = append(good, frame...)
	}
	f.Add(good)
	f.Add(appendGroup(good, KindEnd, id, segmentHeader, s.seed, segmentHeader+int64(len(good))))
	f.Add([]byte{0, 0, 0, 21})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, frames []byte) {
		octets := append(make([]byte, segmentHeader), frames...)
		w := newWalker(bytes.NewReader(octets), &s, segmentHeader)
		var read []byte
		c := checker{id: id}
		_, _, _, err := c.check(w, func(frame Frame, at int64) error {
			again := appendFrame(nil, frame)
			sealFrame(again, s.seed, at)
			read = append(read, again...)
			return nil
		})
		var damage *DamageError
		var format *FormatError
		if err != nil && !errors.As(err, &damage) && !errors.As(err, &format) {
			t.Errorf("got error %v", err)
		}
		if !bytes.HasPrefix(frames, read) {
			t.Errorf("frames were read that are not there: %x", read)
		}
		findGroup(bytes.NewReader(octets), &s, id, segmentHeader, 0)
	})
}

// FuzzSegmentHeader reads arbitrary octets as a segment's header.
func FuzzSegmentHeader(f *testing.F) {
	id := journalID([]byte("0123456789abcdef"))
	s := newSegment("d", id, 3, 0x1000, MinSegmentSize)
	f.Add(s.appendHeader(nil, id))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < segmentHeader {
			return
		}
		s, id, err := parseSegmentHeader("d/x.seg", b[:segmentHeader])
		if err == nil && !bytes.Equal(s.appendHeader(nil, id), b[:segmentHeader]) {
			t.Errorf("the header %x was read as %+v", b[:segmentHeader], s)
		}
	})
}
