package demo

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// memory watches how much of it the demo takes: all nodes, all imports and itself.
type memory struct {
	stop, stopped chan struct{}
	most          int64 // octets, of all processes at one time
	largest       int64 // octets, of one process that is not the demo's own
}

// memoryPause is how often it looks.
const memoryPause = 250 * time.Millisecond

func watchMemory() *memory {
	m := &memory{stop: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(m.stopped)
		tick := time.NewTicker(memoryPause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.look()
			case <-m.stop:
				return
			}
		}
	}()
	return m
}

// end stops looking; the figures may be read then. It may be called again.
func (m *memory) end() {
	select {
	case <-m.stop:
	default:
		close(m.stop)
	}
	<-m.stopped
}

// look adds up this process and all that it started. Of each it takes what is resident,
// less what is shared: that is the program itself, and counted once.
func (m *memory) look() {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	own := strconv.Itoa(os.Getpid())
	var sum int64
	for _, folder := range processes {
		itself := filepath.Base(folder) == own
		if !itself && parentOf(folder) != own {
			continue
		}
		resident, shared := pages(folder)
		sum += resident - shared
		if itself {
			sum += shared
		} else {
			m.largest = max(m.largest, resident-shared)
		}
	}
	m.most = max(m.most, sum)
}

// parentOf returns the id of the process that started one.
func parentOf(folder string) string {
	text, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return ""
	}
	// Its name, in parentheses, may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // state, parent, …
	if len(fields) < 2 {
		return ""
	}
	return string(fields[1])
}

// pages returns what a process has in memory, in octets.
func pages(folder string) (resident, shared int64) {
	text, err := os.ReadFile(filepath.Join(folder, "statm"))
	fields := bytes.Fields(text) // all, resident, shared, …, in pages
	if err != nil || len(fields) < 3 {
		return 0, 0
	}
	resident, _ = strconv.ParseInt(string(fields[1]), 10, 64)
	shared, _ = strconv.ParseInt(string(fields[2]), 10, 64)
	return resident * int64(os.Getpagesize()), shared * int64(os.Getpagesize())
}
