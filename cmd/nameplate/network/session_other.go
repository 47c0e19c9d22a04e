//go:build !linux

package network

import "syscall"

// session says that a process has a session of its own.
func session(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
