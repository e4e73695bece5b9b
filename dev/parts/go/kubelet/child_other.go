//go:build !linux

package main

import "syscall"

// childAttributes is empty: this system has no parent-death signal. Children end with their pipes.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
