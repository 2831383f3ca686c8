package main

import (
	"context"
	"math"

	"github.com/actions/scaleset"
)

// checkSessions opens a session, polls an empty queue, refreshes the token and closes the session.
func checkSessions(ctx context.Context, s *suite) {
	s.withScaleSet(ctx, "sessions", func(client *scaleset.Client, made *scaleset.RunnerScaleSet) {
		var session *scaleset.MessageSessionClient
		s.check("a session comes with queue, token, scale set and statistics", func() (err error) {
			if session, err = client.MessageSessionClient(ctx, made.ID, "host-a"); err != nil {
				return err
			}
			got := session.Session()
			whole := got.MessageQueueURL != "" && got.MessageQueueAccessToken != "" && got.OwnerName == "host-a" &&
				got.RunnerScaleSet != nil && got.RunnerScaleSet.ID == made.ID && got.Statistics != nil
			return want(whole, "got %s", text(got))
		})
		s.check("a second session is refused as a conflict", func() error {
			_, err := client.MessageSessionClient(ctx, made.ID, "host-b")
			return refused(err, "RunnerScaleSetSessionConflictException")
		})
		s.check("an empty queue answers with nothing", func() error {
			message, err := session.GetMessage(ctx, 0, math.MaxInt32)
			if err != nil {
				return err
			}
			return want(message == nil, "got %s", text(message))
		})
		checkTokenRenewal(ctx, s, session)
		s.check("a session can be closed, and another opened and closed", func() error {
			if err := session.Close(ctx); err != nil {
				return err
			}
			next, err := client.MessageSessionClient(ctx, made.ID, "host-a")
			if err != nil {
				return err
			}
			return next.Close(ctx)
		})
	})
}

// checkTokenRenewal expires the queue token before each kind of queue call, which must succeed all the same.
func checkTokenRenewal(ctx context.Context, s *suite, session *scaleset.MessageSessionClient) {
	renewed := func(call func() error) func() error {
		return func() error {
			before := session.Session()
			if err := s.control.session(ctx, before.SessionID.String(), "expire-token"); err != nil {
				return err
			}
			if err := call(); err != nil {
				return err
			}
			after := session.Session()
			fresh := after.SessionID == before.SessionID && after.MessageQueueAccessToken != before.MessageQueueAccessToken
			return want(fresh, "before %s\nafter %s", text(before), text(after))
		}
	}
	s.check("a queue token that ends is renewed by a poll", renewed(func() error {
		_, err := session.GetMessage(ctx, 0, 0)
		return err
	}))
	if !acquires {
		return
	}
	s.check("a queue token that ends is renewed by acquiring", renewed(func() error {
		acquired, err := acquire(ctx, session, 424242)
		if err != nil {
			return err
		}
		return want(len(acquired) == 0, "acquired %v", acquired)
	}))
}
