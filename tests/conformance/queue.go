package main

import (
	"context"
	"fmt"

	"github.com/actions/scaleset"
)

// queue reads the messages of a session one after the other and keeps them.
type queue struct {
	session   *scaleset.MessageSessionClient
	capacity  int
	last      int
	available []offer
	assigned  []*scaleset.JobAssigned
	started   []*scaleset.JobStarted
	completed []*scaleset.JobCompleted
	counts    scaleset.RunnerScaleSetStatistic
}

// until polls and acknowledges messages until enough is true.
func (q *queue) until(ctx context.Context, enough func() bool) error {
	for !enough() {
		if ctx.Err() != nil {
			return fmt.Errorf("waited in vain: %w", ctx.Err())
		}
		message, err := q.session.GetMessage(ctx, q.last, q.capacity)
		if err != nil {
			return err
		}
		if message == nil {
			continue
		}
		q.take(message)
		if err := q.session.DeleteMessage(ctx, message.MessageID); err != nil {
			return err
		}
	}
	return nil
}

func (q *queue) take(message *scaleset.RunnerScaleSetMessage) {
	q.last = message.MessageID
	q.available = append(q.available, offersIn(message)...)
	q.assigned = append(q.assigned, message.JobAssignedMessages...)
	q.started = append(q.started, message.JobStartedMessages...)
	q.completed = append(q.completed, message.JobCompletedMessages...)
	if message.Statistics != nil {
		q.counts = *message.Statistics
	}
}

// untilAssigned waits for count assigned jobs and acquires offered ones.
func (q *queue) untilAssigned(ctx context.Context, count int) error {
	acquired := 0
	return q.until(ctx, func() bool {
		for ; acquired < len(q.available); acquired++ {
			if _, err := acquire(ctx, q.session, q.available[acquired].RunnerRequestID); err != nil {
				panic(err)
			}
		}
		return len(q.assigned) >= count
	})
}
