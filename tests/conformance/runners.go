package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/actions/scaleset"
)

// checkRunners registers, looks up and removes a runner without starting it.
func checkRunners(ctx context.Context, s *suite) {
	s.withScaleSet(ctx, "runners", func(client *scaleset.Client, made *scaleset.RunnerScaleSet) {
		var jit *scaleset.RunnerScaleSetJitRunnerConfig
		setting := &scaleset.RunnerScaleSetJitRunnerSetting{Name: "runner-00000001"}
		s.check("a JIT configuration names its runner and holds the three files", func() (err error) {
			if jit, err = client.GenerateJitRunnerConfig(ctx, setting, made.ID); err != nil {
				return err
			}
			named := jit.Runner.ID > 0 && jit.Runner.Name == setting.Name && jit.Runner.RunnerScaleSetID == made.ID
			if err := want(named, "got %s", text(jit.Runner)); err != nil {
				return err
			}
			return decodes(jit.EncodedJITConfig)
		})
		checkRunnerLookUps(ctx, s, client, jit.Runner)
		checkRemoval(ctx, s, client, jit.Runner)
	})
}

func checkRunnerLookUps(ctx context.Context, s *suite, client *scaleset.Client, made *scaleset.RunnerReference) {
	s.check("a runner is found by its id", func() error {
		found, err := client.GetRunner(ctx, made.ID)
		if err != nil {
			return err
		}
		return want(*found == *made, "got %s", text(found))
	})
	s.check("a runner is found by its name", func() error {
		found, err := client.GetRunnerByName(ctx, made.Name)
		if err != nil {
			return err
		}
		return want(found != nil && *found == *made, "got %s", text(found))
	})
	s.check("an unknown runner id is not found", func() error {
		_, err := client.GetRunner(ctx, 999999)
		return is(err, scaleset.RunnerNotFoundError)
	})
	s.check("an unknown runner name is not found", func() error {
		found, err := client.GetRunnerByName(ctx, "runner-ffffffff")
		if err != nil {
			return err
		}
		return want(found == nil, "got %s", text(found))
	})
}

func checkRemoval(ctx context.Context, s *suite, client *scaleset.Client, made *scaleset.RunnerReference) {
	s.check("a runner can be removed, and is gone", func() error {
		if err := client.RemoveRunner(ctx, int64(made.ID)); err != nil {
			return err
		}
		_, err := client.GetRunner(ctx, made.ID)
		return is(err, scaleset.RunnerNotFoundError)
	})
	s.check("removing it again does no harm", func() error {
		return client.RemoveRunner(ctx, int64(made.ID))
	})
}

// decodes decodes both layers of a JIT configuration (docs/protocol.md § 8.1).
func decodes(encoded string) error {
	outer, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	var files map[string][]byte
	if err := json.Unmarshal(outer, &files); err != nil {
		return err
	}
	for _, name := range []string{".runner", ".credentials", ".credentials_rsaparams"} {
		if !json.Valid(files[name]) {
			return fmt.Errorf("%s is not JSON: %q", name, files[name])
		}
	}
	return nil
}

// withScaleSet calls body with a new scale set, which body may delete.
func (s *suite) withScaleSet(ctx context.Context, name string, body func(*scaleset.Client, *scaleset.RunnerScaleSet)) {
	client, err := s.client(organisation)
	if err != nil {
		panic(err)
	}
	made, err := client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{Name: name, RunnerGroupID: 1})
	if err != nil {
		panic(err)
	}
	body(client, made)
	s.check("the scale set "+name+" can be deleted afterwards", func() error {
		return client.DeleteRunnerScaleSet(ctx, made.ID)
	})
}
