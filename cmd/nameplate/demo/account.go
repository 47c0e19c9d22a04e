package demo

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// account tells a person what goes on: one line a step, which on a terminal is
// written over while the step lasts.
type account struct {
	w     io.Writer
	width int // of the terminal; 0 for none

	mu      sync.Mutex
	current *step
}

// step is one line of the account.
type step struct {
	account *account
	name    string
	began   time.Time
	text    string
	frame   int
	stop    chan struct{}
	stopped chan struct{}
}

// frames are how a step looks while it lasts.
var frames = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

const frameTime = 80 * time.Millisecond

// step begins a step.
func (a *account) step(name string) *step {
	s := &step{account: a, name: name, began: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{})}
	a.mu.Lock()
	a.current = s
	a.mu.Unlock()
	if a.width == 0 {
		close(s.stopped)
		return s
	}
	go s.turn()
	return s
}

// turn draws the step until it ends.
func (s *step) turn() {
	defer close(s.stopped)
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for {
		s.draw()
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
	}
}

func (s *step) draw() {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	line := fmt.Sprintf("  %s %-9s %5.1f s  %s", frames[s.frame%len(frames)], s.name, time.Since(s.began).Seconds(), s.text)
	s.frame++
	fmt.Fprintf(s.account.w, "\r\x1b[2K%s", cut(line, s.account.width-1))
}

// show says how far the step is; only a terminal shows it.
func (s *step) show(format string, args ...any) {
	s.account.mu.Lock()
	s.text = fmt.Sprintf(format, args...)
	s.account.mu.Unlock()
}

// done ends the step with what came of it.
func (s *step) done(format string, args ...any) {
	s.end()
	a := s.account
	a.line("  %s %-9s %s  %s", a.color("32", "✓"), s.name,
		a.color("2", fmt.Sprintf("%5.1f s", time.Since(s.began).Seconds())), fmt.Sprintf(format, args...))
}

// end takes the line of the step away.
func (s *step) end() {
	close(s.stop)
	<-s.stopped
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	s.account.current = nil
	if s.account.width > 0 {
		fmt.Fprint(s.account.w, "\r\x1b[2K")
	}
}

// abandon ends a step that did not come to its end.
func (a *account) abandon() {
	a.mu.Lock()
	s := a.current
	a.mu.Unlock()
	if s == nil {
		return
	}
	s.end()
	a.line("  %s %-9s %5.1f s  %s", a.color("31", "✗"), s.name, time.Since(s.began).Seconds(), s.text)
}

// note tells something below a step.
func (a *account) note(format string, args ...any) {
	a.line("%23s%s", "", a.color("2", fmt.Sprintf(format, args...)))
}

func (a *account) line(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintln(a.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// last shows the end of a node's log, if there is anything in it.
func (a *account) last(name, file string) bool {
	const lines, octets = 4, 64 << 10
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 {
		return false
	}
	all := bytes.Split(bytes.TrimRight(text[max(0, len(text)-octets):], "\n"), []byte("\n"))
	a.line("the last lines of what node %s logged:", name)
	for _, line := range all[max(0, len(all)-lines):] {
		a.line("  %s", line)
	}
	return true
}

// color colors a text on a terminal.
func (a *account) color(code, text string) string {
	if a.width == 0 {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// bar draws how much of something is done.
func bar(done, all int) string {
	const width = 24
	full := 0
	if all > 0 {
		full = min(width, width*done/all)
	}
	return strings.Repeat("━", full) + strings.Repeat("·", width-full)
}

func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(0, width)])
}

// count writes a number for people.
func count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func list(words []string) string { return strings.Join(words, ", ") }
