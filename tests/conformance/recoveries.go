package main

import (
	"context"

	"github.com/actions/scaleset"
)

// judgeRecoveries sets faults that GitHub's client survives by itself (docs/protocol.md § 10).
func judgeRecoveries(ctx context.Context, j *judge) {
	judgeLogins(ctx, j)
	j.withScaleSet(ctx, "recoveries", func(client *scaleset.Client, made *scaleset.RunnerScaleSet) {
		for _, fault := range []struct {
			name, what string
			params     map[string]any
		}{
			{"F3", "a connection that is reset before the reply", nil},
			{"F11", "a byte order mark, other key casing and unknown keys", nil},
			{"F13", "a 503", map[string]any{"status": 503}},
			{"F14", "a 429 with Retry-After", map[string]any{"retryAfter": 1}},
		} {
			j.check("the client survives "+fault.what+" ("+fault.name+")", func() error {
				match := map[string]string{"method": "GET", "path": "runnerscalesets"}
				if err := j.control.fault(ctx, fault.name, 1, match, fault.params); err != nil {
					return err
				}
				found, err := client.GetRunnerScaleSetByID(ctx, made.ID)
				if err != nil {
					return err
				}
				return want(found != nil && found.Name == made.Name, "got %s", text(found))
			})
		}
		j.check("a removal whose reply is lost can be repeated (F21)", func() error {
			setting := &scaleset.RunnerScaleSetJitRunnerSetting{Name: "runner-0000000c"}
			jit, err := client.GenerateJitRunnerConfig(ctx, setting, made.ID)
			if err != nil {
				return err
			}
			match := map[string]string{"method": "DELETE", "path": "agents"}
			if err := j.control.fault(ctx, "F21", 1, match, nil); err != nil {
				return err
			}
			return client.RemoveRunner(ctx, int64(jit.Runner.ID))
		})
	})
}

// judgeLogins spoils the last step of a login, which the client makes before its first call.
func judgeLogins(ctx context.Context, j *judge) {
	for _, fault := range []struct{ name, what string }{
		{"F31", "a registration token that has not spread yet is tried again"},
		{"F32", "another address of the actions service is used"},
	} {
		j.check(fault.what+" ("+fault.name+")", func() error {
			match := map[string]string{"path": "runner-registration"}
			if err := j.control.fault(ctx, fault.name, 1, match, nil); err != nil {
				return err
			}
			client, err := j.client("late-org")
			if err != nil {
				return err
			}
			return comesAndGoes(ctx, client)
		})
	}
}
