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
		scaler := &scaler{fleet: fleet{suite: s, live: map[string]*agent{}}, client: client, scaleSet: made}
		started := time.Now()
		what := fmt.Sprintf("the listener sees %d jobs through with at most %d runners", s.jobs, s.runners)
		s.check(what, func() error { return scaler.listen(ctx) })
		fmt.Printf("      %d jobs in %.1f s\n", len(scaler.results), time.Since(started).Seconds())
		scaler.fleet.check(ctx, func(name string) (bool, error) {
			found, err := client.GetRunnerByName(ctx, name)
			return found != nil, err
		})
	})
}

// scaler is the part of a daemon that users of the library implement.
type scaler struct {
	fleet
	client   *scaleset.Client
	scaleSet *scaleset.RunnerScaleSet
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
	ears, err := newListener(session, config, s)
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
	return s.desired(count)
}

func (s *scaler) HandleJobStarted(_ context.Context, job *scaleset.JobStarted) error {
	return s.jobStarted(job.JobID, job.RunnerName)
}

func (s *scaler) HandleJobCompleted(_ context.Context, job *scaleset.JobCompleted) error {
	s.jobCompleted(job.RunnerName, job.Result)
	return nil
}

func (s *scaler) RecordStatistics(counts *scaleset.RunnerScaleSetStatistic) {
	s.mostBusy = max(s.mostBusy, counts.TotalBusyRunners)
}

func (s *scaler) RecordJobStarted(*scaleset.JobStarted)     {}
func (s *scaler) RecordJobCompleted(*scaleset.JobCompleted) {}
func (s *scaler) RecordDesiredRunners(int)                  {}
