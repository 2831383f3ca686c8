package main

import (
	"context"

	"github.com/actions/scaleset"
)

// judgeRecoveries sets faults that GitHub's client survives by itself (protocol.md 10).
func judgeRecoveries(ctx context.Context, j *judge) {
	j.check("a registration token that has not spread yet is tried again (F31)", func() error {
		match := map[string]string{"path": "runner-registration"}
		if err := j.control.fault(ctx, "F31", 1, match, nil); err != nil {
			return err
		}
		client, err := j.client("late-org")
		if err != nil {
			return err
		}
		return comesAndGoes(ctx, client)
	})
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
	})
}
