package main

import "syscall"

// setGroup gives a child a process group of its own, so that it is killed with all its children.
// With a terminal the session that pty makes is that group already.
func setGroup(attributes *syscall.SysProcAttr) { attributes.Setpgid = true }

func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }
