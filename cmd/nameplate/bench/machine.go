//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticks is in what the kernel counts processor time for everybody to see: USER_HZ,
// which is 100 wherever Go runs on Linux.
const ticks = 100

// Without two processors server and generator share one.
const anyCore = -1

// pinned reports whether server and generator can have a processor each.
func pinned() bool { return runtime.NumCPU() >= 2 }

// onCore makes the calling thread, and what it starts, run on one processor. The
// goroutine must be locked to its thread.
func onCore(core int) error {
	if core == anyCore {
		return nil
	}
	var set unix.CPUSet
	set.Set(core)
	return unix.SchedSetaffinity(0, &set)
}

// allOn moves every thread of this process to one processor and returns how to let
// them go again.
func allOn(core int) (release func(), err error) {
	if core == anyCore {
		return func() {}, nil
	}
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, err
	}
	set.Set(core)
	move := func(to *unix.CPUSet) {
		threads, _ := os.ReadDir("/proc/self/task")
		for _, thread := range threads {
			if id, err := strconv.Atoi(thread.Name()); err == nil {
				_ = unix.SchedSetaffinity(id, to) // a thread that ended needs none
			}
		}
	}
	move(&set)
	return func() { move(&before) }, nil
}

// cpuTime is processor time of some processes.
type cpuTime struct{ user, system time.Duration }

func (t cpuTime) all() time.Duration { return t.user + t.system }

func (t cpuTime) sub(before cpuTime) cpuTime {
	return cpuTime{t.user - before.user, t.system - before.system}
}

// stat reads /proc/PID/stat from the field after the command's name on.
func stat(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	_, rest, ok := strings.Cut(string(b[bytes.LastIndexByte(b, ')'):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 15 {
		return nil, fmt.Errorf("/proc/%d/stat cannot be read", pid)
	}
	return fields, nil
}

// family returns a process and everything it started.
func family(pid int) []int {
	entries, _ := os.ReadDir("/proc")
	parents := map[int]int{}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if fields, err := stat(id); err == nil {
			parents[id], _ = strconv.Atoi(fields[1])
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		for id, parent := range parents {
			if parent == all[i] && !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	return all
}

// cpuOf adds up what processes have used.
func cpuOf(pids []int) cpuTime {
	var t cpuTime
	for _, pid := range pids {
		fields, err := stat(pid)
		if err != nil {
			continue
		}
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		t.user += time.Duration(user) * time.Second / ticks
		t.system += time.Duration(system) * time.Second / ticks
	}
	return t
}

// machineCPU is what all processes together have used.
func machineCPU() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(first)
	if len(fields) < 8 {
		return 0
	}
	var sum int
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, interrupts
		n, _ := strconv.Atoi(fields[i])
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks
}

// memory is what processes hold, in octets.
type memory struct{ anonymous, file, proportional float64 }

func memoryOf(pids []int) memory {
	var m memory
	for _, pid := range pids {
		m.anonymous += field(fmt.Sprintf("/proc/%d/status", pid), "RssAnon:") + field(fmt.Sprintf("/proc/%d/status", pid), "RssShmem:")
		m.file += field(fmt.Sprintf("/proc/%d/status", pid), "RssFile:")
		m.proportional += field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
	}
	return m
}

// field reads one field in kB of a file of /proc.
func field(file, name string) float64 {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return float64(n) * 1024
		}
	}
	return 0
}

// kernel and processor say what the machine is.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// fileSystem says on what a folder lies: a sync on tmpfs costs nothing and says
// nothing.
func fileSystem(folder string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return "unknown"
	}
	switch s.Type {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs (in memory: syncs are no syncs)"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	}
	return fmt.Sprintf("type %#x", s.Type)
}
