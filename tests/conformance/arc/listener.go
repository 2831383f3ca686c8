package arc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Handler is told what a listener hears.
type Handler interface {
	// Desired is told the counts, which are all 0 after a poll that brought nothing.
	Desired(ctx context.Context, counts Statistics) error
	Started(job JobEvent) error
	Completed(job JobEvent) error
}

// Listener polls one scale set in the order of ARC's: it acquires every job on offer, whatever its capacity,
// deletes the message, and only then lets the handler know.
type Listener struct {
	Client   *Client
	ScaleSet int
	Capacity int
	Handler  Handler
	session  *Session
	last     int64
}

// Listen returns when ctx is done or a call fails, and closes the session.
func (l *Listener) Listen(ctx context.Context) (err error) {
	if l.session, err = l.Client.CreateSession(ctx, l.ScaleSet, "arc"); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, l.Client.DeleteSession(context.WithoutCancel(ctx), l.ScaleSet, l.session.ID))
	}()
	if err := l.begin(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		message, err := l.poll(ctx)
		if err != nil {
			return err
		}
		if message == nil {
			err = l.Handler.Desired(ctx, Statistics{})
		} else {
			err = l.handle(context.WithoutCancel(ctx), message)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// begin handles what came before the session: jobs on offer are listed, because no message tells of them again.
func (l *Listener) begin(ctx context.Context) error {
	if l.session.Statistics == nil {
		return errors.New("a session without statistics")
	}
	if l.session.Statistics.Available > 0 {
		offers, err := l.Client.AcquirableJobs(ctx, l.ScaleSet)
		if err != nil {
			return err
		}
		if err := l.acquire(ctx, offers); err != nil {
			return err
		}
	}
	return l.Handler.Desired(ctx, *l.session.Statistics)
}

func (l *Listener) poll(ctx context.Context) (message *Message, err error) {
	err = l.refreshed(ctx, func() error {
		message, err = l.Client.GetMessage(ctx, l.session, l.last, l.Capacity)
		return err
	})
	return message, err
}

func (l *Listener) handle(ctx context.Context, message *Message) error {
	jobs, err := Jobs(message)
	if err != nil {
		return err
	}
	if message.Statistics == nil {
		return errors.New("a message without statistics")
	}
	if err := l.acquire(ctx, jobs.Available); err != nil {
		return err
	}
	l.last = message.ID
	if err := l.Client.DeleteMessage(ctx, l.session, message.ID); err != nil {
		return err
	}
	for _, job := range jobs.Started {
		if err := l.Handler.Started(job); err != nil {
			return err
		}
	}
	for _, job := range jobs.Completed {
		if err := l.Handler.Completed(job); err != nil {
			return err
		}
	}
	return l.Handler.Desired(ctx, *message.Statistics)
}

func (l *Listener) acquire(ctx context.Context, offers []Offer) error {
	if len(offers) == 0 {
		return nil
	}
	ids := make([]int64, len(offers))
	for i, offer := range offers {
		ids[i] = offer.RequestID
	}
	return l.refreshed(ctx, func() error {
		_, err := l.Client.AcquireJobs(ctx, l.ScaleSet, l.session.QueueToken, ids)
		return err
	})
}

// refreshed makes a call, and once more with a fresh token if the token has ended.
func (l *Listener) refreshed(ctx context.Context, call func() error) error {
	err := call()
	if !errors.Is(err, ErrTokenExpired) {
		return err
	}
	if l.session, err = l.Client.RefreshSession(ctx, l.ScaleSet, l.session.ID); err != nil {
		return err
	}
	return call()
}

// JobEvents are the job messages of one message.
type JobEvents struct {
	Available []Offer
	Assigned  []JobEvent
	Started   []JobEvent
	Completed []JobEvent
}

// Jobs decodes the body of a message; a message or event of another type is an error.
func Jobs(message *Message) (JobEvents, error) {
	var jobs JobEvents
	if message.Type != "RunnerScaleSetJobMessages" {
		return jobs, fmt.Errorf("a message of type %q", message.Type)
	}
	if message.Body == "" {
		return jobs, nil
	}
	var events []JobEvent
	if err := json.Unmarshal([]byte(message.Body), &events); err != nil {
		return jobs, err
	}
	for _, event := range events {
		switch event.Type {
		case "JobAvailable":
			jobs.Available = append(jobs.Available, event.Offer)
		case "JobAssigned":
			jobs.Assigned = append(jobs.Assigned, event)
		case "JobStarted":
			jobs.Started = append(jobs.Started, event)
		case "JobCompleted":
			jobs.Completed = append(jobs.Completed, event)
		default:
			return jobs, fmt.Errorf("a job message of type %q", event.Type)
		}
	}
	return jobs, nil
}
