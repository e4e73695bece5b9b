package main

import "syscall"

// childAttributes makes the kernel kill a child when its parent dies for any reason.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
