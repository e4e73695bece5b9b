//go:build !linux

package main

import "syscall"

// childAttributes: there is no parent-death signal here; children end with their pipes.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
