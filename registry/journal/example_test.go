package journal_test

import (
	"fmt"
	"os"

	"github.com/nameplate-id/nameplate/registry/journal"
)

func Example() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	j, err := journal.Open(dir, 0, journal.Options{SegmentSize: 64 << 10})
	if err != nil {
		panic(err)
	}
	synced := make(chan journal.Offset)
	entry := journal.Frame{Position: 0, Kind: journal.KindEntry, Payload: []byte("the first entry")}
	err = j.Append(entry, func(at, end journal.Offset) { synced <- at })
	if err != nil {
		panic(err)
	}
	at := <-synced // from here on it survives a power cut
	f, _, err := j.Read(at)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s %d: %s\n", f.Kind, f.Position, f.Payload)
	if err := j.Close(); err != nil {
		panic(err)
	}

	// A later start finds what was synced.
	if j, err = journal.Open(dir, 0, journal.Options{}); err != nil {
		panic(err)
	}
	defer j.Close()
	for l, err := range j.Scan(0, j.Synced()) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s %d: %s\n", l.Kind, l.Position, l.Payload)
	}
	// Output:
	// entry 0: the first entry
	// entry 0: the first entry
}
