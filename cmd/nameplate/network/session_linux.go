package network

import "syscall"

// session says that a process has a session of its own, and dies with this one when
// it is attached.
func session(attached bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if attached {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}
