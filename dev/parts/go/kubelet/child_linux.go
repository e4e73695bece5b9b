package main

import "syscall"

// childAttributes makes the kernel kill a child whose parent died in whatever way.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
