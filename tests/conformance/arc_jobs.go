package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"runscaler/conformance/arc"
)

// arcRunner registers a runner and starts our agent with it.
func (s *suite) arcRunner(ctx context.Context, client *arc.Client, made *arc.ScaleSet, name string) (*arc.Runner, *agent, error) {
	jit, err := client.GenerateJITConfig(ctx, made.ID, name)
	if err != nil {
		return nil, nil, err
	}
	process, err := s.startAgent(ctx, name, jit.Encoded)
	return jit.Runner, process, err
}

// checkArcOffers follows one job from its offer to its end, with the calls that ARC must see refused on the way.
func checkArcOffers(ctx context.Context, s *suite) {
	s.withArcScaleSet(ctx, "arc-offers", func(client *arc.Client, made *arc.ScaleSet) {
		session, err := client.CreateSession(ctx, made.ID, "arc")
		if err != nil {
			panic(err)
		}
		heard := &arcQueue{client: client, session: session, capacity: s.runners}
		checkArcOffer(ctx, s, heard, made)
		checkArcRun(ctx, s, heard, made)
		s.check("ARC closes the session", func() error { return client.DeleteSession(ctx, made.ID, session.ID) })
	})
}

func checkArcOffer(ctx context.Context, s *suite, heard *arcQueue, made *arc.ScaleSet) {
	client := heard.client
	s.check("a queued job is offered in a message, which comes until it is deleted", func() error {
		if _, err := client.GetMessage(ctx, heard.session, 0, heard.capacity); err != nil {
			return err
		}
		if _, err := s.control.queue(ctx, made.Name, 1, s.waitFor("arc")); err != nil {
			return err
		}
		first, err := client.GetMessage(ctx, heard.session, 0, heard.capacity)
		if err != nil {
			return err
		}
		again, err := client.GetMessage(ctx, heard.session, 0, heard.capacity)
		if err != nil {
			return err
		}
		if err := want(first != nil && again != nil && first.ID == again.ID, "got %s, %s", text(first), text(again)); err != nil {
			return err
		}
		if err := heard.take(ctx, again); err != nil {
			return err
		}
		counted := first.Statistics != nil && first.Statistics.Available == 1
		return want(counted && len(heard.jobs.Available) == 1, "got %s", text(first))
	})
	s.check("the job is listed as acquirable, can be acquired once, and is assigned", func() error {
		offers, err := client.AcquirableJobs(ctx, made.ID)
		if err != nil {
			return err
		}
		id := heard.jobs.Available[0].RequestID
		if err := want(len(offers) == 1 && offers[0].RequestID == id, "listed %s", text(offers)); err != nil {
			return err
		}
		acquired, err := client.AcquireJobs(ctx, made.ID, heard.session.QueueToken, []int64{id})
		if err != nil {
			return err
		}
		again, err := client.AcquireJobs(ctx, made.ID, heard.session.QueueToken, []int64{id})
		if err != nil {
			return err
		}
		if err := want(len(acquired) == 1 && acquired[0] == id && len(again) == 0, "acquired %v, then %v", acquired, again); err != nil {
			return err
		}
		return heard.until(ctx, func() bool { return len(heard.jobs.Assigned) == 1 })
	})
}

func checkArcRun(ctx context.Context, s *suite, heard *arcQueue, made *arc.ScaleSet) {
	var runner *arc.Runner
	var process *agent
	s.check("our agent takes the job, and ARC may not remove its runner meanwhile", func() (err error) {
		if runner, process, err = s.arcRunner(ctx, heard.client, made, "runner-000000b1"); err != nil {
			return err
		}
		if err := heard.until(ctx, func() bool { return len(heard.jobs.Started) == 1 }); err != nil {
			return err
		}
		got := heard.jobs.Started[0]
		named := got.RunnerID == runner.ID && got.RunnerName == runner.Name && got.JobID == heard.jobs.Assigned[0].JobID
		removal := heard.client.RemoveRunner(ctx, runner.ID)
		return errors.Join(want(named, "got %s", text(got)), exception(removal, http.StatusBadRequest, "JobStillRunningException"))
	})
	s.check("the job succeeds, its runner is gone and its agent ended with 0", func() error {
		if err := s.release("arc"); err != nil {
			return err
		}
		if err := heard.until(ctx, func() bool { return len(heard.jobs.Completed) == 1 }); err != nil {
			return err
		}
		got := heard.jobs.Completed[0]
		named := got.Result == "succeeded" && got.RunnerID == runner.ID && !got.FinishedAt.IsZero()
		if err := errors.Join(want(named, "got %s", text(got)), process.exitedWith0(ctx)); err != nil {
			return err
		}
		_, err := heard.client.Runner(ctx, runner.ID)
		return exception(err, http.StatusNotFound, "AgentNotFoundException")
	})
}

// arcQueue reads the messages of a session one after the other and keeps what they tell.
type arcQueue struct {
	client   *arc.Client
	session  *arc.Session
	capacity int
	last     int64
	jobs     arc.JobEvents
}

func (q *arcQueue) until(ctx context.Context, enough func() bool) error {
	for !enough() {
		if ctx.Err() != nil {
			return fmt.Errorf("waited in vain: %w", ctx.Err())
		}
		message, err := q.client.GetMessage(ctx, q.session, q.last, q.capacity)
		if err != nil {
			return err
		}
		if message != nil {
			if err := q.take(ctx, message); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *arcQueue) take(ctx context.Context, message *arc.Message) error {
	jobs, err := arc.Jobs(message)
	if err != nil {
		return err
	}
	q.last = message.ID
	q.jobs.Available = append(q.jobs.Available, jobs.Available...)
	q.jobs.Assigned = append(q.jobs.Assigned, jobs.Assigned...)
	q.jobs.Started = append(q.jobs.Started, jobs.Started...)
	q.jobs.Completed = append(q.jobs.Completed, jobs.Completed...)
	return q.client.DeleteMessage(ctx, q.session, message.ID)
}

// checkArcListener runs ARC's way of listening until all jobs are completed. The first ones are offered to a
// session before its own, so that it must list them.
func checkArcListener(ctx context.Context, s *suite) {
	s.withArcScaleSet(ctx, "arc-listener", func(client *arc.Client, made *arc.ScaleSet) {
		scaler := &arcScaler{fleet{suite: s, live: map[string]*agent{}}}
		scaler.start = func(name string) (*agent, error) {
			_, started, err := s.arcRunner(ctx, client, made, name)
			return started, err
		}
		started := time.Now()
		s.check("jobs are offered to a session that ends", func() error { return leaveOffers(ctx, s, client, made) })
		what := fmt.Sprintf("ARC's listener sees %d jobs through with at most %d runners", s.jobs, s.runners)
		s.check(what, func() error { return scaler.listen(ctx, client, made) })
		fmt.Printf("      %d jobs in %.1f s\n", len(scaler.results), time.Since(started).Seconds())
		scaler.fleet.check(ctx, func(name string) (bool, error) {
			found, err := client.FindRunner(ctx, name)
			return found != nil, err
		})
	})
}

// leaveOffers queues half of the jobs, hears of them and acquires none.
func leaveOffers(ctx context.Context, s *suite, client *arc.Client, made *arc.ScaleSet) error {
	session, err := client.CreateSession(ctx, made.ID, "arc")
	if err != nil {
		return err
	}
	heard := &arcQueue{client: client, session: session, capacity: s.runners}
	if _, err := client.GetMessage(ctx, session, 0, s.runners); err != nil {
		return err
	}
	if _, err := s.control.queue(ctx, made.Name, s.jobs/2, "echo conformance"); err != nil {
		return err
	}
	if err := heard.until(ctx, func() bool { return len(heard.jobs.Available) == s.jobs/2 }); err != nil {
		return err
	}
	return client.DeleteSession(ctx, made.ID, session.ID)
}

// arcScaler is what ARC's listener tells of jobs and desired runners.
type arcScaler struct{ fleet }

func (s *arcScaler) listen(ctx context.Context, client *arc.Client, made *arc.ScaleSet) error {
	if _, err := s.suite.control.queue(ctx, made.Name, s.suite.jobs-s.suite.jobs/2, "echo conformance"); err != nil {
		return err
	}
	until, stop := context.WithCancel(ctx)
	defer stop()
	s.stop = stop
	ears := &arc.Listener{Client: client, ScaleSet: made.ID, Capacity: s.suite.runners, Handler: s}
	if err := ears.Listen(until); !errors.Is(err, context.Canceled) || ctx.Err() != nil {
		return fmt.Errorf("after %d jobs: %w", len(s.results), err)
	}
	return nil
}

func (s *arcScaler) Desired(_ context.Context, statistics arc.Statistics) error {
	s.mostBusy = max(s.mostBusy, statistics.Busy)
	_, err := s.desired(statistics.Assigned)
	return err
}

func (s *arcScaler) Started(job arc.JobEvent) error { return s.jobStarted(job.JobID, job.RunnerName) }

func (s *arcScaler) Completed(job arc.JobEvent) error {
	s.jobCompleted(job.RunnerName, job.Result)
	return nil
}
