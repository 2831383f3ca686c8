package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// agent is one process of our demo agent, which runs one job.
type agent struct {
	name   string
	output bytes.Buffer
	ended  chan struct{}
	err    error
}

// startAgent runs our agent with a JIT configuration in a directory of its own. When ctx is done, it is opts
// to end, and killed if it does not.
func (s *suite) startAgent(ctx context.Context, name, jit string) (*agent, error) {
	folder := filepath.Join(s.folder, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, s.python, s.agent)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 35 * time.Second
	command.Dir = folder
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "ACTIONS_RUNNER_INPUT_JITCONFIG=" + jit}
	started := &agent{name: name, ended: make(chan struct{})}
	command.Stdout, command.Stderr = &started.output, &started.output
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		started.err = command.Wait()
		close(started.ended)
	}()
	return started, nil
}

// exitedWith0 waits for the agent to exit; its exit code must be 0.
func (a *agent) exitedWith0(ctx context.Context) error {
	select {
	case <-a.ended:
	case <-ctx.Done():
		return fmt.Errorf("%s still runs: %w", a.name, ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(a.err, &exit) {
		return fmt.Errorf("%s: %w\n%s", a.name, a.err, a.output.Bytes())
	}
	return a.err
}
