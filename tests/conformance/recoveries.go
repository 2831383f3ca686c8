package main

import (
	"context"

	"github.com/actions/scaleset"
)

// checkRecoveries sets faults that GitHub's client recovers from by itself (docs/protocol.md § 10).
func checkRecoveries(ctx context.Context, s *suite) {
	checkLogins(ctx, s)
	s.withScaleSet(ctx, "recoveries", func(client *scaleset.Client, made *scaleset.RunnerScaleSet) {
		for _, fault := range []struct {
			name, what string
			params     map[string]any
		}{
			{"F3", "a connection that is reset before the reply", nil},
			{"F11", "a byte order mark, other key casing and unknown keys", nil},
			{"F13", "a 503", map[string]any{"status": 503}},
			{"F14", "a 429 with Retry-After", map[string]any{"retryAfter": 1}},
		} {
			s.check("the client survives "+fault.what+" ("+fault.name+")", func() error {
				match := map[string]string{"method": "GET", "path": "runnerscalesets"}
				if err := s.control.fault(ctx, fault.name, 1, match, fault.params); err != nil {
					return err
				}
				found, err := client.GetRunnerScaleSetByID(ctx, made.ID)
				if err != nil {
					return err
				}
				return want(found != nil && found.Name == made.Name, "got %s", text(found))
			})
		}
		s.check("a removal whose reply is lost can be repeated (F21)", func() error {
			setting := &scaleset.RunnerScaleSetJitRunnerSetting{Name: "runner-0000000c"}
			jit, err := client.GenerateJitRunnerConfig(ctx, setting, made.ID)
			if err != nil {
				return err
			}
			match := map[string]string{"method": "DELETE", "path": "agents"}
			if err := s.control.fault(ctx, "F21", 1, match, nil); err != nil {
				return err
			}
			return client.RemoveRunner(ctx, int64(jit.Runner.ID))
		})
	})
}

// checkLogins lets the last step of the login fail, which the client makes before its first call.
func checkLogins(ctx context.Context, s *suite) {
	for _, fault := range []struct{ name, what string }{
		{"F31", "a registration token that has not spread yet is tried again"},
		{"F32", "another address of the actions service is used"},
	} {
		s.check(fault.what+" ("+fault.name+")", func() error {
			match := map[string]string{"path": "runner-registration"}
			if err := s.control.fault(ctx, fault.name, 1, match, nil); err != nil {
				return err
			}
			client, err := s.client("late-org")
			if err != nil {
				return err
			}
			return createAndDelete(ctx, client)
		})
	}
}
