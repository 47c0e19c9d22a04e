//go:build linux

package bench

import (
	"errors"
	"runtime"
	"syscall"
	"time"
)

// leastBursts is how many bursts there are at least: so many that what a node does
// beside answering is little of what is counted.
const leastBursts = 1000

// bursts asks many questions at once, again and again: while they are sent the server
// is stopped, so that it finds them all together, however busy the machine is. What
// that costs depends on the server alone, and not on when questions come.
func (g *generator) bursts(limit time.Duration, server *process) (outcome, error) {
	g.outcome, g.began = outcome{}, time.Now()
	for n := 0; n < leastBursts || time.Since(g.began) < limit; n++ {
		if err := server.freeze(); err != nil {
			return outcome{}, err
		}
		var err error
		for i := range g.sources {
			err = errors.Join(err, g.send(&g.sources[i]))
		}
		if err = errors.Join(err, server.cmd.Process.Signal(syscall.SIGCONT)); err != nil {
			return outcome{}, err
		}
		if !g.gather() {
			break
		}
	}
	return g.outcome, nil
}

// gather receives the answers that are due; it reports false, and counts them as lost,
// when they do not come.
func (g *generator) gather() bool {
	for began := time.Now(); ; runtime.Gosched() {
		due := 0
		for i := range g.sources {
			g.receive(&g.sources[i])
			due += perSocket - len(g.sources[i].free)
		}
		if due == 0 {
			return true
		}
		if time.Since(began) > 10*lostAfter {
			g.outcome.lost += due
			return false
		}
	}
}

// freeze stops the server and waits until it stands still.
func (p *process) freeze() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < lostAfter; time.Sleep(20 * time.Microsecond) {
		fields, err := stat(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		if fields[0] == "T" || fields[0] == "t" {
			return nil
		}
	}
	return errors.New("the server does not stop")
}
