package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/actions/scaleset"
)

const organisation = "my-org"

// options are what the program is told on its command line.
type options struct {
	url     string
	flavour string
	python  string
	agent   string
	jobs    int
	runners int
}

// offers says that the simulator offers jobs, which the client must acquire (docs/protocol.md § 6).
func (o options) offers() bool { return o.flavour == "acquire" }

// judge counts what held and what did not.
type judge struct {
	options
	folder  string
	control control
	clients int
	passed  int
	failed  int
}

// part runs checks of which none may leave a violation of the protocol behind.
func (j *judge) part(ctx context.Context, name string, checks func(context.Context, *judge)) {
	fmt.Printf("-- %s\n", name)
	j.check(name+" can be judged to the end", func() error {
		checks(ctx, j)
		return nil
	})
	j.check("no call of GitHub's client broke a rule: "+name, func() error {
		violations, err := j.control.violations(ctx)
		if err != nil || len(violations) == 0 {
			return err
		}
		return errors.Join(fmt.Errorf("%d violations: %s", len(violations), violations), j.control.forgive(ctx))
	})
}

// check prints one line. A panic is a failure like any other: most checks build on those before.
func (j *judge) check(what string, holds func() error) bool {
	err := guarded(holds)
	if err != nil {
		j.failed++
		fmt.Printf("FAIL  %s\n      %s\n", what, strings.ReplaceAll(err.Error(), "\n", "\n      "))
		return false
	}
	j.passed++
	fmt.Printf("ok    %s\n", what)
	return true
}

func guarded(holds func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%v\n%s", reason, debug.Stack())
		}
	}()
	return holds()
}

func (j *judge) summary() int {
	fmt.Printf("\n%d passed, %d failed\n", j.passed, j.failed)
	return min(j.failed, 1)
}

// client speaks for the given path below the simulator: an organisation, a repository, an enterprise.
// Each has a token of its own, since one that logs in again and again breaks a rule (docs/protocol.md § 9.2).
func (j *judge) client(path string, options ...scaleset.HTTPOption) (*scaleset.Client, error) {
	j.clients++
	return scaleset.NewClientWithPersonalAccessToken(scaleset.NewClientWithPersonalAccessTokenConfig{
		GitHubConfigURL:     j.url + "/" + path,
		PersonalAccessToken: fmt.Sprintf("ghp_conformance%d", j.clients),
		SystemInfo:          system,
	}, options...)
}

// system is how the client introduces itself in its User-Agent.
var system = scaleset.SystemInfo{System: "conformance", Version: "1.0.0", CommitSHA: "0000000", Subsystem: "test"}

// want is nil when the condition holds, else the complaint.
func want(holds bool, complaint string, values ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(complaint, values...)
}

// refused is nil when err is a refusal that names what it must.
func refused(err error, names string) error {
	return want(err != nil && strings.Contains(err.Error(), names), "wanted a refusal with %q, got: %v", names, err)
}

// is is nil when err is the library's own error for the case.
func is(err, wanted error) error {
	return want(errors.Is(err, wanted), "wanted %q, got: %v", wanted, err)
}

func text(value any) string {
	written, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(written)
}
