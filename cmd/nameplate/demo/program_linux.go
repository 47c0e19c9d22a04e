package demo

import "syscall"

// attached says that a process has a group of its own and does not outlive the demo,
// even when that is killed.
func attached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
