package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/actions/scaleset"
	"github.com/actions/scaleset/listener"
)

// checkListener runs the library's listener until all jobs are completed, each by a process of our agent.
func checkListener(ctx context.Context, s *suite) {
	s.withScaleSet(ctx, "listener", func(client *scaleset.Client, made *scaleset.RunnerScaleSet) {
		scaler := &scaler{suite: s, client: client, scaleSet: made, live: map[string]*agent{}}
		started := time.Now()
		what := fmt.Sprintf("the listener sees %d jobs through with at most %d runners", s.jobs, s.runners)
		s.check(what, func() error { return scaler.listen(ctx) })
		fmt.Printf("      %d jobs in %.1f s\n", len(scaler.results), time.Since(started).Seconds())
		s.check("every job was started once and succeeded once", scaler.eachOnce)
		s.check("no more runners were busy than allowed", func() error {
			return want(scaler.mostBusy <= s.runners, "%d of %d", scaler.mostBusy, s.runners)
		})
		s.check("every agent ended with 0", func() error { return scaler.exitedWith0(ctx) })
		s.check("no registration is left", func() error { return scaler.noneLeft(ctx) })
	})
}

// scaler is the part of a daemon that users of the library implement.
type scaler struct {
	suite    *suite
	client   *scaleset.Client
	scaleSet *scaleset.RunnerScaleSet
	start    func(name string) (*agent, error)
	stop     context.CancelFunc
	live     map[string]*agent
	all      []*agent
	began    []string
	results  []string
	mostBusy int
}

func (s *scaler) listen(ctx context.Context) (err error) {
	session, err := s.client.MessageSessionClient(ctx, s.scaleSet.ID, "host-a")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close(ctx)) }()
	if _, err := s.suite.control.queue(ctx, s.scaleSet.Name, s.suite.jobs, "echo conformance"); err != nil {
		return err
	}
	config := listener.Config{ScaleSetID: s.scaleSet.ID, MaxRunners: s.suite.runners}
	ears, err := listener.New(session, config, listener.WithMetricsRecorder(s))
	if err != nil {
		return err
	}
	until, stop := context.WithCancel(ctx)
	defer stop()
	s.stop = stop
	s.start = func(name string) (*agent, error) { // with the outer context, because the last agents outlive the listener
		_, started, err := s.suite.startRunner(ctx, s.client, s.scaleSet, name)
		return started, err
	}
	if err := ears.Run(until, s); !errors.Is(err, context.Canceled) || ctx.Err() != nil {
		return fmt.Errorf("after %d jobs: %w", len(s.results), err)
	}
	return nil
}

func (s *scaler) HandleDesiredRunnerCount(_ context.Context, count int) (int, error) {
	target := min(count, s.suite.runners)
	for len(s.live) < target {
		name := fmt.Sprintf("runner-%08x", 0x1000+len(s.all))
		started, err := s.start(name)
		if err != nil {
			return 0, err
		}
		s.live[name] = started
		s.all = append(s.all, started)
	}
	return target, nil
}

func (s *scaler) HandleJobStarted(_ context.Context, job *scaleset.JobStarted) error {
	s.began = append(s.began, job.JobID)
	return want(s.live[job.RunnerName] != nil, "a runner that is not ours started a job: %s", text(job))
}

func (s *scaler) HandleJobCompleted(_ context.Context, job *scaleset.JobCompleted) error {
	delete(s.live, job.RunnerName)
	s.results = append(s.results, job.Result)
	if len(s.results) == s.suite.jobs {
		s.stop()
	}
	return nil
}

func (s *scaler) RecordStatistics(counts *scaleset.RunnerScaleSetStatistic) {
	s.mostBusy = max(s.mostBusy, counts.TotalBusyRunners)
}

func (s *scaler) RecordJobStarted(*scaleset.JobStarted)     {}
func (s *scaler) RecordJobCompleted(*scaleset.JobCompleted) {}
func (s *scaler) RecordDesiredRunners(int)                  {}

func (s *scaler) eachOnce() error {
	seen := map[string]bool{}
	for _, id := range s.began {
		if seen[id] {
			return fmt.Errorf("job %s was started twice", id)
		}
		seen[id] = true
	}
	for _, result := range s.results {
		if result != "succeeded" {
			return fmt.Errorf("results: %v", s.results)
		}
	}
	return want(len(seen) == s.suite.jobs && len(s.results) == s.suite.jobs, "%d started, %d completed", len(seen), len(s.results))
}

func (s *scaler) exitedWith0(ctx context.Context) error {
	var problems []error
	for _, started := range s.all {
		problems = append(problems, started.exitedWith0(ctx))
	}
	return errors.Join(problems...)
}

func (s *scaler) noneLeft(ctx context.Context) error {
	for _, started := range s.all {
		found, err := s.client.GetRunnerByName(ctx, started.name)
		if err != nil {
			return err
		}
		if found != nil {
			return fmt.Errorf("still registered: %s", text(found))
		}
	}
	return nil
}
