package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/actions/scaleset"
)

// judgeRefusals does what a client must not do: refused with the right words, and recorded.
func judgeRefusals(ctx context.Context, j *judge) {
	fmt.Println("-- refusals")
	j.check("refusals can be judged to the end", func() error {
		j.withScaleSet(ctx, "refusals", func(client *scaleset.Client, made *scaleset.RunnerScaleSet) {
			judgeSecondOfAName(ctx, j, client, made)
			judgeEndedSession(ctx, j, client, made)
		})
		judgeDeletedScaleSet(ctx, j)
		return nil
	})
	j.check("what a client must not do was recorded", func() error {
		violations, err := j.control.violations(ctx)
		if err != nil {
			return err
		}
		return want(len(violations) > 0, "no violation was recorded")
	})
}

func judgeSecondOfAName(ctx context.Context, j *judge, client *scaleset.Client, made *scaleset.RunnerScaleSet) {
	j.check("a second scale set of a name is refused", func() error {
		_, err := client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{Name: "REFUSALS", RunnerGroupID: 1})
		return refused(err, "already exists")
	})
	j.check("a second runner of a name is refused as existing", func() error {
		setting := &scaleset.RunnerScaleSetJitRunnerSetting{Name: "runner-0000000e"}
		first, err := client.GenerateJitRunnerConfig(ctx, setting, made.ID)
		if err != nil {
			return err
		}
		_, err = client.GenerateJitRunnerConfig(ctx, setting, made.ID)
		return errors.Join(is(err, scaleset.RunnerExistsError), client.RemoveRunner(ctx, int64(first.Runner.ID)))
	})
}

func judgeEndedSession(ctx context.Context, j *judge, client *scaleset.Client, made *scaleset.RunnerScaleSet) {
	var session *scaleset.MessageSessionClient
	j.check("a session that expired gives no message", func() (err error) {
		if session, err = client.MessageSessionClient(ctx, made.ID, "host-a"); err != nil {
			return err
		}
		if err := j.control.session(ctx, session.Session().SessionID.String(), "expire"); err != nil {
			return err
		}
		_, err = session.GetMessage(ctx, 0, 1)
		return refused(err, "404")
	})
	j.check("a session that expired can't be closed", func() error {
		return refused(session.Close(ctx), "RunnerScaleSetSessionExpiredException")
	})
	j.check("a queue without a message refuses to delete it", func() error {
		next, err := client.MessageSessionClient(ctx, made.ID, "host-a")
		if err != nil {
			return err
		}
		if err := refused(next.DeleteMessage(ctx, 987654321), "404"); err != nil {
			return err
		}
		return next.Close(ctx)
	})
}

func judgeDeletedScaleSet(ctx context.Context, j *judge) {
	const missing = "RunnerScaleSetNotFoundException"
	client, err := j.client(organisation)
	if err != nil {
		panic(err)
	}
	j.check("a scale set that is not there can't be read", func() error {
		_, err := client.GetRunnerScaleSetByID(ctx, 999999)
		return refused(err, missing)
	})
	j.check("a scale set that is not there can't be changed", func() error {
		_, err := client.UpdateRunnerScaleSet(ctx, 999999, &scaleset.RunnerScaleSet{Name: "x"})
		return refused(err, missing)
	})
	j.check("a scale set that is not there can't be deleted", func() error {
		return refused(client.DeleteRunnerScaleSet(ctx, 999999), missing)
	})
	j.check("a scale set that is not there has no sessions", func() error {
		_, err := client.MessageSessionClient(ctx, 999999, "host-a")
		return refused(err, missing)
	})
	j.check("a scale set that is not there gives no JIT configuration", func() error {
		_, err := client.GenerateJitRunnerConfig(ctx, &scaleset.RunnerScaleSetJitRunnerSetting{Name: "runner-0000000f"}, 999999)
		return refused(err, missing)
	})
}
