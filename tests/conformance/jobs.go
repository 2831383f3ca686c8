package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/actions/scaleset"
)

// checkJobs follows jobs from the queue to their completion, with our agent as the runner.
func checkJobs(ctx context.Context, s *suite) {
	s.withScaleSet(ctx, "jobs", func(client *scaleset.Client, made *scaleset.RunnerScaleSet) {
		session, err := client.MessageSessionClient(ctx, made.ID, "host-a")
		if err != nil {
			panic(err)
		}
		messages := &queue{session: session, capacity: 3}
		checkMessage(ctx, s, messages)
		checkOffer(ctx, s, messages)
		checkRun(ctx, s, client, made, messages)
		checkFailedJob(ctx, s, client, made, messages)
		s.check("the session can be closed", func() error { return session.Close(ctx) })
	})
}

// checkMessage checks that a message is delivered until it is deleted, unless lastMessageId excludes it.
func checkMessage(ctx context.Context, s *suite, messages *queue) {
	var first *scaleset.RunnerScaleSetMessage
	s.check("a queued job makes a message with statistics", func() error {
		if _, err := messages.session.GetMessage(ctx, 0, messages.capacity); err != nil {
			return err
		}
		if _, err := s.control.queue(ctx, "jobs", 1, s.waitFor("first")); err != nil {
			return err
		}
		var err error
		first, err = messages.session.GetMessage(ctx, 0, messages.capacity)
		if err != nil {
			return err
		}
		return want(first != nil && first.MessageID > 0 && first.Statistics != nil, "got %s", text(first))
	})
	s.check("a message that was not deleted comes again", func() error {
		again, err := messages.session.GetMessage(ctx, 0, messages.capacity)
		if err != nil {
			return err
		}
		return want(again != nil && again.MessageID == first.MessageID, "got %s", text(again))
	})
	s.check("it stays behind a poll that names it as the last", func() error {
		next, err := messages.session.GetMessage(ctx, first.MessageID, messages.capacity)
		if err != nil {
			return err
		}
		return want(next == nil, "got %s", text(next))
	})
	s.check("a message can be deleted although the queue token has ended, and again without harm", func() error {
		messages.take(first)
		if err := s.control.session(ctx, messages.session.Session().SessionID.String(), "expire-token"); err != nil {
			return err
		}
		if err := messages.session.DeleteMessage(ctx, first.MessageID); err != nil {
			return err
		}
		return messages.session.DeleteMessage(ctx, first.MessageID)
	})
}

// checkOffer checks that the job is assigned, by the service itself or after it is acquired.
func checkOffer(ctx context.Context, s *suite, messages *queue) {
	if !s.offers() {
		s.check("a job within capacity is assigned without being asked for", func() error {
			return want(len(messages.assigned) == 1 && messages.counts.TotalAssignedJobs == 1, "got %s", text(messages.counts))
		})
		return
	}
	s.check("a job is offered, and can be acquired once", func() error {
		if err := want(len(messages.available) == 1, "got %s", text(messages.available)); err != nil {
			return err
		}
		id := messages.available[0].RunnerRequestID
		acquired, err := acquire(ctx, messages.session, id)
		if err != nil {
			return err
		}
		again, err := acquire(ctx, messages.session, id)
		if err != nil {
			return err
		}
		return want(len(acquired) == 1 && acquired[0] == id && len(again) == 0, "acquired %v, then %v", acquired, again)
	})
	s.check("an acquired job is assigned", func() error {
		return messages.until(ctx, func() bool { return len(messages.assigned) == 1 })
	})
}

// checkRun keeps the job running while it makes calls that must be refused, then lets it end.
func checkRun(ctx context.Context, s *suite, client *scaleset.Client, made *scaleset.RunnerScaleSet, messages *queue) {
	var runner *scaleset.RunnerReference
	var process *agent
	s.check("our agent takes the job: JobStarted names it", func() (err error) {
		if runner, process, err = s.startRunner(ctx, client, made, "runner-0000000a"); err != nil {
			return err
		}
		if err := messages.until(ctx, func() bool { return len(messages.started) == 1 }); err != nil {
			return err
		}
		got := messages.started[0]
		named := got.RunnerID == runner.ID && got.RunnerName == runner.Name && got.JobID == messages.assigned[0].JobID
		return want(named && !got.RunnerAssignTime.IsZero() && got.FinishTime.IsZero(), "got %s", text(got))
	})
	s.check("a runner with a job can't be removed", func() error {
		return is(client.RemoveRunner(ctx, int64(runner.ID)), scaleset.JobStillRunningError)
	})
	s.check("a scale set with a running job can't be deleted", func() error {
		return refused(client.DeleteRunnerScaleSet(ctx, made.ID), "Exception")
	})
	s.check("the job succeeds: JobCompleted names runner and result", func() error {
		if err := s.release("first"); err != nil {
			return err
		}
		if err := messages.until(ctx, func() bool { return len(messages.completed) == 1 }); err != nil {
			return err
		}
		got := messages.completed[0]
		named := got.Result == "succeeded" && got.RunnerID == runner.ID && got.RunnerName == runner.Name
		return want(named && !got.FinishTime.IsZero(), "got %s", text(got))
	})
	s.check("the agent ends with 0 after its job", func() error { return process.exitedWith0(ctx) })
	s.check("an ephemeral runner is gone after its job", func() error {
		_, err := client.GetRunner(ctx, runner.ID)
		return is(err, scaleset.RunnerNotFoundError)
	})
}

func checkFailedJob(ctx context.Context, s *suite, client *scaleset.Client, made *scaleset.RunnerScaleSet, messages *queue) {
	s.check("a job that fails is completed as failed, and its agent ends with 0", func() error {
		if _, err := s.control.queue(ctx, "jobs", 1, "exit 3"); err != nil {
			return err
		}
		if err := messages.untilAssigned(ctx, 2); err != nil {
			return err
		}
		_, process, err := s.startRunner(ctx, client, made, "runner-0000000b")
		if err != nil {
			return err
		}
		if err := messages.until(ctx, func() bool { return len(messages.completed) == 2 }); err != nil {
			return err
		}
		if err := want(messages.completed[1].Result == "failed", "got %s", text(messages.completed[1])); err != nil {
			return err
		}
		return process.exitedWith0(ctx)
	})
	s.check("a job cancelled before it starts is completed without a runner", func() error {
		queued, err := s.control.queue(ctx, "jobs", 1, "true")
		if err != nil {
			return err
		}
		if err := messages.untilAssigned(ctx, 3); err != nil {
			return err
		}
		if err := s.control.cancel(ctx, queued[0]); err != nil {
			return err
		}
		if err := messages.until(ctx, func() bool { return len(messages.completed) == 3 }); err != nil {
			return err
		}
		got := messages.completed[2]
		return want(got.Result == "canceled" && got.RunnerID == 0 && got.RunnerName == "", "got %s", text(got))
	})
	s.check("afterwards all counts are zero", func() error {
		return want(messages.counts == scaleset.RunnerScaleSetStatistic{}, "got %s", text(messages.counts))
	})
}

func (s *suite) startRunner(ctx context.Context, client *scaleset.Client, made *scaleset.RunnerScaleSet, name string) (*scaleset.RunnerReference, *agent, error) {
	jit, err := client.GenerateJitRunnerConfig(ctx, &scaleset.RunnerScaleSetJitRunnerSetting{Name: name, WorkFolder: "_work"}, made.ID)
	if err != nil {
		return nil, nil, err
	}
	process, err := s.startAgent(ctx, name, jit.EncodedJITConfig)
	return jit.Runner, process, err
}

// waitFor is a step that runs until release is called with the same name.
func (s *suite) waitFor(name string) string {
	return fmt.Sprintf("while [ ! -e '%s' ]; do sleep 0.05; done", filepath.Join(s.folder, name))
}

func (s *suite) release(name string) error {
	return os.WriteFile(filepath.Join(s.folder, name), nil, 0o600)
}
