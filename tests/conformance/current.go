//go:build !older

package main

import (
	"context"

	"github.com/actions/scaleset"
	"github.com/actions/scaleset/listener"
)

// acquires tells whether the library can acquire jobs.
const acquires = true

type offer = *scaleset.JobAvailable

func offersIn(message *scaleset.RunnerScaleSetMessage) []offer { return message.JobAvailableMessages }

func acquire(ctx context.Context, session *scaleset.MessageSessionClient, ids ...int64) ([]int64, error) {
	return session.AcquireJobs(ctx, ids)
}

func newListener(session *scaleset.MessageSessionClient, config listener.Config, s *scaler) (*listener.Listener, error) {
	return listener.New(session, config, listener.WithMetricsRecorder(s))
}
