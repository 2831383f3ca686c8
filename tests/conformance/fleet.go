package main

import (
	"context"
	"errors"
	"fmt"
)

// fleet starts runners for a listener and remembers what became of their jobs.
type fleet struct {
	suite    *suite
	start    func(name string) (*agent, error)
	stop     context.CancelFunc
	live     map[string]*agent
	all      []*agent
	began    []string
	results  []string
	mostBusy int
}

// desired starts runners until there are as many as jobs, or as many as allowed, and returns that number.
func (f *fleet) desired(count int) (int, error) {
	target := min(count, f.suite.runners)
	for len(f.live) < target {
		name := fmt.Sprintf("runner-%08x", 0x1000+len(f.all))
		started, err := f.start(name)
		if err != nil {
			return 0, err
		}
		f.live[name] = started
		f.all = append(f.all, started)
	}
	return target, nil
}

func (f *fleet) jobStarted(job, runner string) error {
	f.began = append(f.began, job)
	return want(f.live[runner] != nil, "a runner that is not ours, %s, started job %s", runner, job)
}

func (f *fleet) jobCompleted(runner, result string) {
	delete(f.live, runner)
	f.results = append(f.results, result)
	if len(f.results) == f.suite.jobs {
		f.stop()
	}
}

// check checks what is left when all jobs have ended; registered tells whether GitHub still knows a runner.
func (f *fleet) check(ctx context.Context, registered func(name string) (bool, error)) {
	f.suite.check("every job was started once and succeeded once", f.eachOnce)
	f.suite.check("no more runners were busy than allowed", func() error {
		return want(f.mostBusy <= f.suite.runners, "%d of %d", f.mostBusy, f.suite.runners)
	})
	f.suite.check("every agent ended with 0", func() error { return f.exitedWith0(ctx) })
	f.suite.check("no registration is left", func() error { return f.noneLeft(registered) })
}

func (f *fleet) eachOnce() error {
	seen := map[string]bool{}
	for _, id := range f.began {
		if seen[id] {
			return fmt.Errorf("job %s was started twice", id)
		}
		seen[id] = true
	}
	for _, result := range f.results {
		if result != "succeeded" {
			return fmt.Errorf("results: %v", f.results)
		}
	}
	return want(len(seen) == f.suite.jobs && len(f.results) == f.suite.jobs, "%d started, %d completed", len(seen), len(f.results))
}

func (f *fleet) exitedWith0(ctx context.Context) error {
	var problems []error
	for _, started := range f.all {
		problems = append(problems, started.exitedWith0(ctx))
	}
	return errors.Join(problems...)
}

func (f *fleet) noneLeft(registered func(name string) (bool, error)) error {
	for _, started := range f.all {
		found, err := registered(started.name)
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("%s is still registered", started.name)
		}
	}
	return nil
}
