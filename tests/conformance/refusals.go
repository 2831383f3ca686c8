package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/actions/scaleset"
)

// checkRefusals makes calls that a client must not make: they must be refused and recorded.
func checkRefusals(ctx context.Context, s *suite) {
	fmt.Println("-- refusals")
	s.check("refusals can be checked to the end", func() error {
		s.withScaleSet(ctx, "refusals", func(client *scaleset.Client, made *scaleset.RunnerScaleSet) {
			checkSecondOfAName(ctx, s, client, made)
			checkEndedSession(ctx, s, client, made)
		})
		checkDeletedScaleSet(ctx, s)
		return nil
	})
	s.check("what a client must not do was recorded", func() error {
		violations, err := s.control.violations(ctx)
		if err != nil {
			return err
		}
		return want(len(violations) > 0, "no violation was recorded")
	})
}

func checkSecondOfAName(ctx context.Context, s *suite, client *scaleset.Client, made *scaleset.RunnerScaleSet) {
	s.check("a second scale set of a name is refused", func() error {
		_, err := client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{Name: "REFUSALS", RunnerGroupID: 1})
		return refused(err, "already exists")
	})
	s.check("a second runner of a name is refused as existing", func() error {
		setting := &scaleset.RunnerScaleSetJitRunnerSetting{Name: "runner-0000000e"}
		first, err := client.GenerateJitRunnerConfig(ctx, setting, made.ID)
		if err != nil {
			return err
		}
		_, err = client.GenerateJitRunnerConfig(ctx, setting, made.ID)
		return errors.Join(is(err, scaleset.RunnerExistsError), client.RemoveRunner(ctx, int64(first.Runner.ID)))
	})
}

func checkEndedSession(ctx context.Context, s *suite, client *scaleset.Client, made *scaleset.RunnerScaleSet) {
	var session *scaleset.MessageSessionClient
	s.check("a session that expired gives no message", func() (err error) {
		if session, err = client.MessageSessionClient(ctx, made.ID, "host-a"); err != nil {
			return err
		}
		if err := s.control.session(ctx, session.Session().SessionID.String(), "expire"); err != nil {
			return err
		}
		_, err = session.GetMessage(ctx, 0, 1)
		return refused(err, "404")
	})
	s.check("a session that expired can't be closed", func() error {
		return refused(session.Close(ctx), "RunnerScaleSetSessionExpiredException")
	})
	s.check("a queue without a message refuses to delete it", func() error {
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

func checkDeletedScaleSet(ctx context.Context, s *suite) {
	const missing = "RunnerScaleSetNotFoundException"
	client, err := s.client(organisation)
	if err != nil {
		panic(err)
	}
	s.check("a scale set that is not there can't be read", func() error {
		_, err := client.GetRunnerScaleSetByID(ctx, 999999)
		return refused(err, missing)
	})
	s.check("a scale set that is not there can't be changed", func() error {
		_, err := client.UpdateRunnerScaleSet(ctx, 999999, &scaleset.RunnerScaleSet{Name: "x"})
		return refused(err, missing)
	})
	s.check("a scale set that is not there can't be deleted", func() error {
		return refused(client.DeleteRunnerScaleSet(ctx, 999999), missing)
	})
	s.check("a scale set that is not there has no sessions", func() error {
		_, err := client.MessageSessionClient(ctx, 999999, "host-a")
		return refused(err, missing)
	})
	s.check("a scale set that is not there gives no JIT configuration", func() error {
		_, err := client.GenerateJitRunnerConfig(ctx, &scaleset.RunnerScaleSetJitRunnerSetting{Name: "runner-0000000f"}, 999999)
		return refused(err, missing)
	})
}
