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

// options are the flags of the program.
type options struct {
	url          string
	controlToken string
	flavour      string
	arc          bool
	python       string
	agent        string
	jobs         int
	runners      int
}

// offers tells whether the simulator offers jobs that the client must acquire (docs/protocol.md § 6).
func (o options) offers() bool { return o.flavour == "acquire" }

// suite counts the checks that passed and failed.
type suite struct {
	options
	folder  string
	control control
	clients int
	passed  int
	failed  int
}

// part runs checks that must not cause violations of the protocol.
func (s *suite) part(ctx context.Context, name string, checks func(context.Context, *suite)) {
	fmt.Printf("-- %s\n", name)
	s.check(name+" can be checked to the end", func() error {
		checks(ctx, s)
		return nil
	})
	s.check("no call of GitHub's client broke a rule: "+name, func() error {
		violations, err := s.control.violations(ctx)
		if err != nil || len(violations) == 0 {
			return err
		}
		return errors.Join(fmt.Errorf("%d violations: %s", len(violations), violations), s.control.clearViolations(ctx))
	})
}

// check runs one check and prints one line. A panic counts as a failure: most checks rely on earlier ones.
func (s *suite) check(what string, holds func() error) bool {
	err := guarded(holds)
	if err != nil {
		s.failed++
		fmt.Printf("FAIL  %s\n      %s\n", what, strings.ReplaceAll(err.Error(), "\n", "\n      "))
		return false
	}
	s.passed++
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

func (s *suite) summary() int {
	fmt.Printf("\n%d passed, %d failed\n", s.passed, s.failed)
	return min(s.failed, 1)
}

// client makes a client for a path below the simulator: an organisation, a repository or an enterprise.
func (s *suite) client(path string, options ...scaleset.HTTPOption) (*scaleset.Client, error) {
	return scaleset.NewClientWithPersonalAccessToken(scaleset.NewClientWithPersonalAccessTokenConfig{
		GitHubConfigURL:     s.url + "/" + path,
		PersonalAccessToken: s.freshToken(),
		SystemInfo:          system,
	}, options...)
}

// freshToken returns a token that no client has: repeated logins with one would violate a rule (docs/protocol.md § 9.2).
func (s *suite) freshToken() string {
	s.clients++
	return fmt.Sprintf("ghp_conformance%d", s.clients)
}

// system is what the client sends in its User-Agent.
var system = scaleset.SystemInfo{System: "conformance", Version: "1.0.0", CommitSHA: "0000000", Subsystem: "test"}

// want is nil if the condition holds, else an error with the message.
func want(holds bool, complaint string, values ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(complaint, values...)
}

// refused is nil if err is a refusal that contains the given text.
func refused(err error, names string) error {
	return want(err != nil && strings.Contains(err.Error(), names), "wanted a refusal with %q, got: %v", names, err)
}

// is is nil if err is the library's own error for the case.
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
