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

// agent is one runner process on its way through one job.
type agent struct {
	name   string
	output bytes.Buffer
	ended  chan struct{}
	err    error
}

// startAgent runs our agent with a JIT configuration, in a folder of its own. It is told to end when
// ctx is over, and killed when it does not.
func (j *judge) startAgent(ctx context.Context, name, jit string) (*agent, error) {
	folder := filepath.Join(j.folder, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, j.python, j.agent)
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

// endedWell waits for the agent's end; it must have exited with 0.
func (a *agent) endedWell(ctx context.Context) error {
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
