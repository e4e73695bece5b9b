package main

import "syscall"

// setGroup gives a child a process group of its own, so that it can be killed with all its children.
// With a terminal, the session that pty creates is already such a group.
func setGroup(attributes *syscall.SysProcAttr) { attributes.Setpgid = true }

// killGroup kills all processes of a group.
func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }
