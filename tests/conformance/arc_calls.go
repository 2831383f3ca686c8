package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"runscaler/conformance/arc"
)

// arcClient makes a client for the organisation, with a token of its own.
func (s *suite) arcClient() *arc.Client {
	client, err := arc.NewClient(s.url+"/"+organisation, s.freshToken())
	if err != nil {
		panic(err)
	}
	return client
}

// withArcScaleSet calls body with a new scale set, as ARC creates it: with its name as the first label.
func (s *suite) withArcScaleSet(ctx context.Context, name string, body func(*arc.Client, *arc.ScaleSet)) {
	client := s.arcClient()
	made, err := client.CreateScaleSet(ctx, arcScaleSet(name))
	if err != nil {
		panic(err)
	}
	body(client, made)
	s.check("ARC can delete the scale set "+name+" afterwards", func() error {
		return client.DeleteScaleSet(ctx, made.ID)
	})
}

func arcScaleSet(name string) *arc.ScaleSet {
	return &arc.ScaleSet{
		Name:    name,
		GroupID: 1,
		Labels:  []arc.Label{{Type: "System", Name: name}},
		Setting: arc.Setting{Ephemeral: true, DisableUpdate: true},
	}
}

// checkArcScaleSets creates, looks up, changes and deletes a scale set.
func checkArcScaleSets(ctx context.Context, s *suite) {
	client := s.arcClient()
	var made *arc.ScaleSet
	s.check("ARC finds no scale set where there is none", func() error {
		found, err := client.FindScaleSet(ctx, 1, "arc-set")
		return errors.Join(err, want(found == nil, "found %s", text(found)))
	})
	s.check("ARC creates a scale set, and gets it complete", func() (err error) {
		if made, err = client.CreateScaleSet(ctx, arcScaleSet("arc-set")); err != nil {
			return err
		}
		whole := made.ID > 0 && made.Name == "arc-set" && made.GroupID == 1 && made.GroupName != "" &&
			made.Setting.DisableUpdate && made.CreatedOn.Year() > 2000 && made.JITConfigURL != ""
		return want(whole && len(made.Labels) == 1 && made.Labels[0].Name == "arc-set", "got %s", text(made))
	})
	s.check("ARC finds it by name and by id", func() error {
		named, err := client.FindScaleSet(ctx, 1, "arc-set")
		if err != nil {
			return err
		}
		numbered, err := client.ScaleSet(ctx, made.ID)
		if err != nil {
			return err
		}
		return want(named != nil && named.ID == made.ID && numbered.Name == made.Name, "got %s, %s", text(named), text(numbered))
	})
	s.check("ARC finds the runner group by its name, and none of another", func() error {
		group, err := client.FindGroup(ctx, made.GroupName)
		if err != nil {
			return err
		}
		other, err := client.FindGroup(ctx, "nobodys")
		return errors.Join(err, want(group.ID == 1 && group.IsDefault && other == nil, "got %s, %s", text(group), text(other)))
	})
	s.check("ARC changes the name alone, and nothing that it sends empty", func() error {
		changed, err := client.UpdateScaleSet(ctx, made.ID, &arc.ScaleSet{Name: "arc-renamed", GroupID: 1})
		if err != nil {
			return err
		}
		kept := changed.CreatedOn.Equal(made.CreatedOn) && changed.Setting == made.Setting && len(changed.Labels) == 1
		return want(changed.Name == "arc-renamed" && changed.ID == made.ID && kept, "got %s", text(changed))
	})
	s.check("ARC deletes it", func() error { return client.DeleteScaleSet(ctx, made.ID) })
}

// checkArcRunners registers, looks up and removes a runner without starting it.
func checkArcRunners(ctx context.Context, s *suite) {
	s.withArcScaleSet(ctx, "arc-runners", func(client *arc.Client, made *arc.ScaleSet) {
		var runner *arc.Runner
		s.check("ARC gets a JIT configuration that names its runner", func() error {
			jit, err := client.GenerateJITConfig(ctx, made.ID, "runner-000000a1")
			if err != nil {
				return err
			}
			runner = jit.Runner
			named := runner.ID > 0 && runner.Name == "runner-000000a1" && runner.ScaleSetID == made.ID
			return errors.Join(decodes(jit.Encoded), want(named, "got %s", text(runner)))
		})
		s.check("ARC finds the runner by id and by name, and no other", func() error {
			numbered, err := client.Runner(ctx, runner.ID)
			if err != nil {
				return err
			}
			named, err := client.FindRunner(ctx, runner.Name)
			if err != nil {
				return err
			}
			other, err := client.FindRunner(ctx, "runner-000000a2")
			same := *numbered == *runner && *named == *runner
			return errors.Join(err, want(same && other == nil, "got %s, %s, %s", text(numbered), text(named), text(other)))
		})
		s.check("ARC removes the runner, which is gone by the name of the exception", func() error {
			if err := client.RemoveRunner(ctx, runner.ID); err != nil {
				return err
			}
			_, err := client.Runner(ctx, runner.ID)
			return exception(err, http.StatusNotFound, "AgentNotFoundException")
		})
	})
}

// checkArcSessions opens, refreshes and deletes a session.
func checkArcSessions(ctx context.Context, s *suite) {
	s.withArcScaleSet(ctx, "arc-sessions", func(client *arc.Client, made *arc.ScaleSet) {
		var session *arc.Session
		s.check("ARC opens a session that is complete", func() (err error) {
			if session, err = client.CreateSession(ctx, made.ID, "arc"); err != nil {
				return err
			}
			whole := session.ID != "" && session.Owner == "arc" && session.QueueURL != "" && session.QueueToken != "" &&
				session.Statistics != nil && session.ScaleSet != nil && session.ScaleSet.ID == made.ID
			return want(whole, "got %s", text(session))
		})
		s.check("ARC is refused a second session with 409", func() error {
			_, err := client.CreateSession(ctx, made.ID, "another")
			return exception(err, http.StatusConflict, "RunnerScaleSetSessionConflictException")
		})
		s.check("ARC gets nothing from an empty queue, and no offer", func() error {
			message, err := client.GetMessage(ctx, session, 0, s.runners)
			if err != nil {
				return err
			}
			offers, err := client.AcquirableJobs(ctx, made.ID)
			return errors.Join(err, want(message == nil && len(offers) == 0, "got %s, %s", text(message), text(offers)))
		})
		checkArcRefresh(ctx, s, client, made, session)
		s.check("ARC deletes the session, and opens and deletes another", func() error {
			if err := client.DeleteSession(ctx, made.ID, session.ID); err != nil {
				return err
			}
			next, err := client.CreateSession(ctx, made.ID, "arc")
			if err != nil {
				return err
			}
			return client.DeleteSession(ctx, made.ID, next.ID)
		})
	})
}

func checkArcRefresh(ctx context.Context, s *suite, client *arc.Client, made *arc.ScaleSet, session *arc.Session) {
	s.check("an ended queue token is told as such by each call of the queue", func() error {
		if err := s.control.session(ctx, session.ID, "expire-token"); err != nil {
			return err
		}
		_, polling := client.GetMessage(ctx, session, 0, s.runners)
		_, acquiring := client.AcquireJobs(ctx, made.ID, session.QueueToken, []int64{424242})
		deleting := client.DeleteMessage(ctx, session, 1)
		return errors.Join(is(polling, arc.ErrTokenExpired), is(acquiring, arc.ErrTokenExpired), is(deleting, arc.ErrTokenExpired))
	})
	s.check("ARC refreshes the session, whose new token works", func() error {
		fresh, err := client.RefreshSession(ctx, made.ID, session.ID)
		if err != nil {
			return err
		}
		if err := want(fresh.ID == session.ID && fresh.QueueToken != session.QueueToken, "got %s", text(fresh)); err != nil {
			return err
		}
		*session = *fresh
		acquired, err := client.AcquireJobs(ctx, made.ID, session.QueueToken, []int64{424242})
		return errors.Join(err, want(len(acquired) == 0, "acquired %v", acquired))
	})
}

// exception is nil if err is a refusal with this status and exception.
func exception(err error, status int, name string) error {
	var refused *arc.Error
	if !errors.As(err, &refused) || !arc.IsException(err, name) {
		return fmt.Errorf("wanted %s, got: %w", name, err)
	}
	return want(refused.Status == status, "wanted status %d, got: %v", status, err)
}

// checkArcRefusals makes calls that a client must not make, and looks for the exceptions by which ARC knows them.
func checkArcRefusals(ctx context.Context, s *suite) {
	s.withArcScaleSet(ctx, "arc-refusals", func(client *arc.Client, made *arc.ScaleSet) {
		s.check("ARC is refused a second runner of a name", func() error {
			first, err := client.GenerateJITConfig(ctx, made.ID, "runner-000000c1")
			if err != nil {
				return err
			}
			_, err = client.GenerateJITConfig(ctx, made.ID, "runner-000000c1")
			return errors.Join(exception(err, http.StatusConflict, "AgentExistsException"), client.RemoveRunner(ctx, first.Runner.ID))
		})
		s.check("ARC is refused a session that expired", func() error {
			session, err := client.CreateSession(ctx, made.ID, "arc")
			if err != nil {
				return err
			}
			if err := s.control.session(ctx, session.ID, "expire"); err != nil {
				return err
			}
			_, refreshing := client.RefreshSession(ctx, made.ID, session.ID)
			deleting := client.DeleteSession(ctx, made.ID, session.ID)
			return errors.Join(
				exception(refreshing, http.StatusNotFound, "RunnerAdminException"),
				exception(deleting, http.StatusBadRequest, "RunnerScaleSetSessionExpiredException"),
			)
		})
	})
	s.check("ARC is refused what concerns a scale set that is not there", func() error {
		client := s.arcClient()
		_, reading := client.ScaleSet(ctx, 999999)
		_, opening := client.CreateSession(ctx, 999999, "arc")
		_, listing := client.AcquirableJobs(ctx, 999999)
		var problems []error
		for _, err := range []error{reading, opening, listing, client.DeleteScaleSet(ctx, 999999)} {
			problems = append(problems, exception(err, http.StatusNotFound, "RunnerScaleSetNotFoundException"))
		}
		return errors.Join(problems...)
	})
}
