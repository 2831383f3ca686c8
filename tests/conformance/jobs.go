package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/actions/scaleset"
)

// judgeJobs follows jobs from the queue to their end, with our agent as the runner.
func judgeJobs(ctx context.Context, j *judge) {
	j.withScaleSet(ctx, "jobs", func(client *scaleset.Client, made *scaleset.RunnerScaleSet) {
		session, err := client.MessageSessionClient(ctx, made.ID, "host-a")
		if err != nil {
			panic(err)
		}
		messages := &queue{session: session, capacity: 3}
		judgeMessage(ctx, j, messages)
		judgeOffer(ctx, j, messages)
		judgeRun(ctx, j, client, made, messages)
		judgeFailedJob(ctx, j, client, made, messages)
		j.check("the session can be closed", func() error { return session.Close(ctx) })
	})
}

// judgeMessage looks at one message: delivered until deleted, hidden behind lastMessageId.
func judgeMessage(ctx context.Context, j *judge, messages *queue) {
	var first *scaleset.RunnerScaleSetMessage
	j.check("a queued job makes a message with statistics", func() error {
		if _, err := messages.session.GetMessage(ctx, 0, messages.capacity); err != nil {
			return err
		}
		if _, err := j.control.queue(ctx, "jobs", 1, j.waitFor("first")); err != nil {
			return err
		}
		var err error
		first, err = messages.session.GetMessage(ctx, 0, messages.capacity)
		if err != nil {
			return err
		}
		return want(first != nil && first.MessageID > 0 && first.Statistics != nil, "got %s", text(first))
	})
	j.check("a message that was not deleted comes again", func() error {
		again, err := messages.session.GetMessage(ctx, 0, messages.capacity)
		if err != nil {
			return err
		}
		return want(again != nil && again.MessageID == first.MessageID, "got %s", text(again))
	})
	j.check("it stays behind a poll that names it as the last", func() error {
		next, err := messages.session.GetMessage(ctx, first.MessageID, messages.capacity)
		if err != nil {
			return err
		}
		return want(next == nil, "got %s", text(next))
	})
	j.check("a message can be deleted although the queue token has ended, and again without harm", func() error {
		messages.take(first)
		if err := j.control.session(ctx, messages.session.Session().SessionID.String(), "expire-token"); err != nil {
			return err
		}
		if err := messages.session.DeleteMessage(ctx, first.MessageID); err != nil {
			return err
		}
		return messages.session.DeleteMessage(ctx, first.MessageID)
	})
}

// judgeOffer sees the job assigned: by the service itself, or after acquiring it.
func judgeOffer(ctx context.Context, j *judge, messages *queue) {
	if !j.offers() {
		j.check("a job within capacity is assigned without being asked for", func() error {
			return want(len(messages.assigned) == 1 && messages.counts.TotalAssignedJobs == 1, "got %s", text(messages.counts))
		})
		return
	}
	j.check("a job is offered, and can be acquired once", func() error {
		if err := want(len(messages.available) == 1, "got %s", text(messages.available)); err != nil {
			return err
		}
		id := messages.available[0].RunnerRequestID
		acquired, err := messages.session.AcquireJobs(ctx, []int64{id})
		if err != nil {
			return err
		}
		again, err := messages.session.AcquireJobs(ctx, []int64{id})
		if err != nil {
			return err
		}
		return want(len(acquired) == 1 && acquired[0] == id && len(again) == 0, "acquired %v, then %v", acquired, again)
	})
	j.check("an acquired job is assigned", func() error {
		return messages.until(ctx, func() bool { return len(messages.assigned) == 1 })
	})
}

// judgeRun holds the job open while it asks for what must be refused, then lets it end.
func judgeRun(ctx context.Context, j *judge, client *scaleset.Client, made *scaleset.RunnerScaleSet, messages *queue) {
	var runner *scaleset.RunnerReference
	var process *agent
	j.check("our agent takes the job: JobStarted names it", func() (err error) {
		if runner, process, err = j.startRunner(ctx, client, made, "runner-0000000a"); err != nil {
			return err
		}
		if err := messages.until(ctx, func() bool { return len(messages.started) == 1 }); err != nil {
			return err
		}
		got := messages.started[0]
		named := got.RunnerID == runner.ID && got.RunnerName == runner.Name && got.JobID == messages.assigned[0].JobID
		return want(named && !got.RunnerAssignTime.IsZero() && got.FinishTime.IsZero(), "got %s", text(got))
	})
	j.check("a runner with a job can't be removed", func() error {
		return is(client.RemoveRunner(ctx, int64(runner.ID)), scaleset.JobStillRunningError)
	})
	j.check("a scale set with a running job can't be deleted", func() error {
		return refused(client.DeleteRunnerScaleSet(ctx, made.ID), "Exception")
	})
	j.check("the job succeeds: JobCompleted names runner and result", func() error {
		if err := j.let("first"); err != nil {
			return err
		}
		if err := messages.until(ctx, func() bool { return len(messages.completed) == 1 }); err != nil {
			return err
		}
		got := messages.completed[0]
		named := got.Result == "succeeded" && got.RunnerID == runner.ID && got.RunnerName == runner.Name
		return want(named && !got.FinishTime.IsZero(), "got %s", text(got))
	})
	j.check("the agent ends with 0 after its job", func() error { return process.endedWell(ctx) })
	j.check("an ephemeral runner is gone after its job", func() error {
		_, err := client.GetRunner(ctx, runner.ID)
		return is(err, scaleset.RunnerNotFoundError)
	})
}

func judgeFailedJob(ctx context.Context, j *judge, client *scaleset.Client, made *scaleset.RunnerScaleSet, messages *queue) {
	j.check("a job that fails is completed as failed, and its agent ends with 0", func() error {
		if _, err := j.control.queue(ctx, "jobs", 1, "exit 3"); err != nil {
			return err
		}
		if err := messages.untilAssigned(ctx, 2); err != nil {
			return err
		}
		_, process, err := j.startRunner(ctx, client, made, "runner-0000000b")
		if err != nil {
			return err
		}
		if err := messages.until(ctx, func() bool { return len(messages.completed) == 2 }); err != nil {
			return err
		}
		if err := want(messages.completed[1].Result == "failed", "got %s", text(messages.completed[1])); err != nil {
			return err
		}
		return process.endedWell(ctx)
	})
	j.check("a job cancelled before it starts is completed without a runner", func() error {
		queued, err := j.control.queue(ctx, "jobs", 1, "true")
		if err != nil {
			return err
		}
		if err := messages.untilAssigned(ctx, 3); err != nil {
			return err
		}
		if err := j.control.cancel(ctx, queued[0]); err != nil {
			return err
		}
		if err := messages.until(ctx, func() bool { return len(messages.completed) == 3 }); err != nil {
			return err
		}
		got := messages.completed[2]
		return want(got.Result == "canceled" && got.RunnerID == 0 && got.RunnerName == "", "got %s", text(got))
	})
	j.check("afterwards all counts are zero", func() error {
		return want(messages.counts == scaleset.RunnerScaleSetStatistic{}, "got %s", text(messages.counts))
	})
}

func (j *judge) startRunner(ctx context.Context, client *scaleset.Client, made *scaleset.RunnerScaleSet, name string) (*scaleset.RunnerReference, *agent, error) {
	jit, err := client.GenerateJitRunnerConfig(ctx, &scaleset.RunnerScaleSetJitRunnerSetting{Name: name, WorkFolder: "_work"}, made.ID)
	if err != nil {
		return nil, nil, err
	}
	process, err := j.startAgent(ctx, name, jit.EncodedJITConfig)
	return jit.Runner, process, err
}

// waitFor is a step that runs until let opens the gate of that name.
func (j *judge) waitFor(gate string) string {
	return fmt.Sprintf("while [ ! -e '%s' ]; do sleep 0.05; done", filepath.Join(j.folder, gate))
}

func (j *judge) let(gate string) error {
	return os.WriteFile(filepath.Join(j.folder, gate), nil, 0o600)
}
