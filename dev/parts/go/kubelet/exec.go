package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/creack/pty"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

type executor struct {
	pods      *pods
	container *container
}

// ExecInContainer runs command as a local process in the pod's folder until it ends or the client
// disconnects. A non-zero exit code is a CodeExitError, which the streaming code turns into the Status
// from which kubectl takes its own exit code.
func (e executor) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if len(command) == 0 {
		return errors.New("no command given")
	}
	defer e.pods.sessions.begin("exec", e.container.pod, command...)()
	// Pdeathsig applies when the thread that forked ends, so this goroutine keeps its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = e.container.pod.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + e.container.pod.dir,
		"HOSTNAME=" + e.container.pod.name,
		"NAMESPACE=" + e.container.pod.namespace,
	}
	cmd.SysProcAttr = childAttributes()
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	if tty {
		return exitCode(runWithTerminal(ctx, cmd, in, out, resize))
	}
	return exitCode(runWithPipes(cmd, in, out, errOut))
}

func runWithPipes(cmd *exec.Cmd, in io.Reader, out, errOut io.WriteCloser) error {
	setGroup(cmd.SysProcAttr)
	if out != nil {
		cmd.Stdout = out
	}
	if errOut != nil {
		cmd.Stderr = errOut
	}
	// Not cmd.Stdin: with it, Wait would also wait until the client closes its side.
	var stdin io.WriteCloser
	if in != nil {
		var err error
		if stdin, err = cmd.StdinPipe(); err != nil {
			return err
		}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if stdin != nil {
		go func() {
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		}()
	}
	return cmd.Wait()
}

func runWithTerminal(ctx context.Context, cmd *exec.Cmd, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	cmd.Env = append(cmd.Env, "TERM=xterm")
	// Clients with a terminal send its size at once, so a command that reads it first gets that size.
	size := &pty.Winsize{Cols: 80, Rows: 24}
	select {
	case first, ok := <-resize:
		if ok {
			size = &pty.Winsize{Cols: first.Width, Rows: first.Height}
		}
	case <-time.After(300 * time.Millisecond):
	}
	terminal, err := pty.StartWithSize(cmd, size)
	if err != nil {
		return err
	}
	defer terminal.Close()
	if resize != nil {
		go func() {
			for next := range resize {
				_ = pty.Setsize(terminal, &pty.Winsize{Cols: next.Width, Rows: next.Height})
			}
		}()
	}
	if in != nil {
		go func() { _, _ = io.Copy(terminal, in) }()
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		if out != nil {
			_, _ = io.Copy(out, terminal)
		}
	}()
	err = cmd.Wait()
	// However slowly the client reads, it gets all output before the Status. Copying ends because the
	// kernel hangs up the terminal when its session leader ends.
	select {
	case <-copied:
	case <-ctx.Done():
	}
	return err
}

// exitCode returns the exit code of a process in the form that the streaming code expects. As in
// shells, it is 128+N when signal N killed the process.
func exitCode(err error) error {
	var exited *exec.ExitError
	if !errors.As(err, &exited) {
		return err
	}
	code := exited.ExitCode()
	if status, ok := exited.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return utilexec.CodeExitError{Err: exited, Code: code}
}
