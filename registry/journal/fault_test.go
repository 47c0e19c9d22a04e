package journal_test

import (
	"bytes"
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

// TestFailureEnds lets a sync, a write and the making of a segment fail.
func TestFailureEnds(t *testing.T) {
	tests := []struct {
		name string
		fail func(d *journaltest.Disk)
	}{
		{"sync", func(d *journaltest.Disk) { d.FailSync(1, nil) }},
		{"sync that wrote", func(d *journaltest.Disk) { d.FailSync(1, func() bool { return true }) }},
		{"write", func(d *journaltest.Disk) { d.FailWrite(1) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := journaltest.NewDisk()
				j, err := journal.Open(folder, 0, small(disk))
				if err != nil {
					t.Fatal(err)
				}
				appendAll(t, j, entry("kept"))
				synctest.Wait()
				test.fail(disk)
				if err := j.Append(entry("lost"), func(_, _ journal.Offset) { t.Error("called back") }); err != nil {
					t.Fatal(err)
				}
				if err := <-j.Failed(); !errors.Is(err, journaltest.ErrFault) {
					t.Errorf("Failed gave %v", err)
				}
				if err := j.Append(entry("late"), nil); !errors.Is(err, journaltest.ErrFault) {
					t.Errorf("Append afterwards: got %v, want the failure", err)
				}
				if err := j.Wait(t.Context(), 1); !errors.Is(err, journaltest.ErrFault) {
					t.Errorf("Wait afterwards: got %v, want the failure", err)
				}
				if got := read(t, j); len(got) != 1 || string(got[0].Payload) != "kept" {
					t.Errorf("got %v, want what was synced", got)
				}
				if err := j.Close(); !errors.Is(err, journaltest.ErrFault) {
					t.Errorf("Close: got %v, want the failure", err)
				}
				reopenAfterFailure(t, disk)
			})
		})
	}
}

// reopenAfterFailure starts again on a disk of which the kernel has forgotten that
// it did not write everything. What Open leaves must be there after a power cut.
func reopenAfterFailure(t *testing.T, disk *journaltest.Disk) {
	j, err := journal.Open(folder, 0, small(disk))
	if err != nil {
		t.Fatal(err)
	}
	found := read(t, j)
	if len(found) == 0 || string(found[0].Payload) != "kept" {
		t.Errorf("got %v, want what was synced first", found)
	}
	after := disk.Crash(nil)
	j.Close()
	if j, err = journal.Open(folder, 0, small(after)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, j); !slices.EqualFunc(got, found, same) {
		t.Errorf("Open gave %v, and after a power cut there is %v", found, got)
	}
	j.Close()
}

// TestFolderSyncFails lets the name of a new segment not become durable.
func TestFolderSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := journaltest.NewDisk()
		j, err := journal.Open(folder, 0, small(disk))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		disk.FailSyncDir(1)
		var failure error
		for range 10 {
			if failure = j.Append(entry(string(make([]byte, 1000))), nil); failure != nil {
				break
			}
			synctest.Wait()
		}
		if !errors.Is(failure, journaltest.ErrFault) || !errors.Is(<-j.Failed(), journaltest.ErrFault) {
			t.Errorf("got %v, want the failure", failure)
		}
		j.Close()
	})
}

// TestDiskFull fills the disk, makes room, and starts again on a full disk.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := journaltest.NewDisk()
		disk.SetFree(2*journal.MinSegmentSize + 100)
		j, err := journal.Open(folder, 0, small(disk))
		if err != nil {
			t.Fatal(err)
		}
		var want []journal.Frame
		for full := false; !full; synctest.Wait() {
			f := entry(string(bytes.Repeat([]byte{byte(len(want))}, 300)))
			called := false
			switch err := j.Append(f, func(_, _ journal.Offset) { called = true }); {
			case errors.Is(err, journal.ErrFull):
				full = true
				if !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("error %q does not say why", err)
				}
			case err != nil:
				t.Fatal(err)
			default:
				want = append(want, f)
				if synctest.Wait(); !called {
					t.Errorf("frame %d was taken and not synced", len(want)-1)
				}
			}
		}
		if err := j.Wait(t.Context(), 300); !errors.Is(err, journal.ErrFull) {
			t.Errorf("Wait: got %v, want ErrFull", err)
		}
		if got := read(t, j); !slices.EqualFunc(got, want, same) || len(got) < 15 {
			t.Errorf("a full disk: got %d frames, want %d", len(got), len(want))
		}
		time.Sleep(time.Minute)
		if names, _ := disk.List(folder); len(names) != 2 {
			t.Errorf("got files %v, want two segments and nothing half-made", names)
		}

		disk.SetFree(10 * journal.MinSegmentSize)
		time.Sleep(2 * time.Second)
		want = append(want, entry("again"))
		appendAll(t, j, want[len(want)-1])
		j.Close()

		disk.SetFree(0)
		if j, err = journal.Open(folder, 0, small(disk)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, j); !slices.EqualFunc(got, want, same) {
			t.Errorf("started on a full disk: got %d frames, want %d", len(got), len(want))
		}
		j.Close()
	})
}

// TestFullToTheLast takes, on a full disk and after every pause, the longest frame
// that is admitted: what was taken must always fit, whatever the journal writes
// by itself meanwhile.
func TestFullToTheLast(t *testing.T) {
	for first := range 60 {
		synctest.Test(t, func(t *testing.T) {
			disk := journaltest.NewDisk()
			disk.SetFree(journal.MinSegmentSize)
			j, err := journal.Open(folder, 0, small(disk))
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			synctest.Wait()
			size := 3000 + first
			for n, taken := 0, 0; size >= 0; size-- {
				err := j.Append(entry(string(make([]byte, size))), func(_, _ journal.Offset) { n++ })
				if errors.Is(err, journal.ErrFull) {
					continue
				}
				if err != nil {
					t.Fatalf("size %d: %v", size, err)
				}
				taken++
				time.Sleep(time.Second) // the last group is closed
				synctest.Wait()
				if n != taken {
					t.Fatalf("%d frames were taken and %d synced: %v", taken, n, j.Err())
				}
				if size > 100 {
					size = 100
				}
			}
		})
	}
}

// TestKilledAnywhere ends the process, not the machine, at every operation while a
// journal is begun, and cuts the power after the next start has synced frames. No
// room is left then, so that nothing but Open itself makes names durable.
func TestKilledAnywhere(t *testing.T) {
	turned := 0
	for n := 1; n < 40; n++ {
		synctest.Test(t, func(t *testing.T) {
			disk := journaltest.NewDisk()
			disk.Halt(n)
			if j, err := journal.Open(folder, 0, small(disk)); err == nil {
				j.Append(entry("perhaps"), nil)
				synctest.Wait()
				j.Close()
			}
			disk = disk.Restart()
			if names, _ := disk.List(folder); slices.Contains(names, "0000000000000000.seg") {
				disk.SetFree(0)
			}
			j, err := journal.Open(folder, 0, small(disk))
			if err != nil {
				t.Fatalf("killed at operation %d: %v", n, err)
			}
			want := read(t, j)
			for _, f := range numbered(30) {
				synctest.Wait()
				if err := j.Append(f, nil); errors.Is(err, journal.ErrFull) {
					break
				}
				want = append(want, f)
			}
			synctest.Wait()
			if j.Synced() > journal.MinSegmentSize {
				turned++
			}
			after := disk.Crash(nil)
			j.Close()
			if j, err = journal.Open(folder, 0, small(after)); err != nil {
				t.Fatalf("killed at operation %d: %v", n, err)
			}
			if got := read(t, j); !slices.EqualFunc(got, want, same) {
				t.Errorf("killed at operation %d: got %d frames, want %d", n, len(got), len(want))
			}
			j.Close()
		})
	}
	if turned == 0 {
		t.Error("the second segment was never used")
	}
}

// TestCutOctetsStayCut loses the first of three frames that were not synced. New
// frames that lead up to the third must not bring it back.
func TestCutOctetsStayCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := journaltest.NewDisk()
		gate := make(chan struct{})
		hook := func(point string) {
			if point == journal.HookSync {
				<-gate
			}
		}
		j, err := journal.Open(folder, 0, journal.Options{SegmentSize: journal.MinSegmentSize, FS: disk, Hook: hook})
		if err != nil {
			t.Fatal(err)
		}
		const group, header, size = 45, 21, 100
		for _, b := range []string{"a", "b", "c"} {
			j.Append(entry(string(bytes.Repeat([]byte(b), size))), nil)
		}
		synctest.Wait()
		name := folder + "/0000000000000000.seg"
		torn := disk.Content(name)
		clear(torn[64+group : 64+group+header+size])
		close(gate)
		j.Close()

		disk = journaltest.NewDisk()
		disk.SetContent(name, torn)
		if j, err = journal.Open(folder, 0, small(disk)); err != nil {
			t.Fatal(err)
		}
		appendAll(t, j, entry(string(bytes.Repeat([]byte("d"), 2*(header+size)-group-header))))
		after := disk.Crash(nil)
		j.Close()
		if j, err = journal.Open(folder, 0, small(after)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, j); len(got) != 1 || got[0].Payload[0] != 'd' {
			t.Errorf("got %d frames, want the one appended last", len(got))
		}
		j.Close()
	})
}
