//go:build !linux

package demo

import "syscall"

// attached says that a process has a group of its own.
func attached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
