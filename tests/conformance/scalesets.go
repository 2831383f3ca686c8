package main

import (
	"context"

	"github.com/actions/scaleset"
)

// checkScaleSets makes every call about runner groups and scale sets.
func checkScaleSets(ctx context.Context, s *suite) {
	client, err := s.client(organisation)
	if err != nil {
		panic(err)
	}
	s.check("the default runner group has id 1", func() error {
		group, err := client.GetRunnerGroupByName(ctx, scaleset.DefaultRunnerGroup)
		if err != nil {
			return err
		}
		return want(group.ID == 1 && group.IsDefault, "got %s", text(group))
	})
	s.check("an unknown runner group is said to be none", func() error {
		_, err := client.GetRunnerGroupByName(ctx, "nobody")
		return refused(err, "no runner group found")
	})
	s.check("a scale set that is not there is not found", func() error {
		found, err := client.GetRunnerScaleSet(ctx, 1, "linux")
		if err != nil {
			return err
		}
		return want(found == nil, "found %s", text(found))
	})
	made := checkCreation(ctx, s, client)
	checkLookUps(ctx, s, client, made)
	checkUpdate(ctx, s, client, made)
	s.check("a scale set can be deleted, and is gone", func() error {
		if err := client.DeleteRunnerScaleSet(ctx, made.ID); err != nil {
			return err
		}
		found, err := client.GetRunnerScaleSet(ctx, 1, "renamed")
		if err != nil {
			return err
		}
		return want(found == nil, "found %s", text(found))
	})
}

func checkCreation(ctx context.Context, s *suite, client *scaleset.Client) *scaleset.RunnerScaleSet {
	var made *scaleset.RunnerScaleSet
	s.check("a scale set can be created, and comes back complete", func() (err error) {
		made, err = client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{
			Name:          "Linux",
			RunnerGroupID: 1,
			Labels:        []scaleset.Label{{Name: "Linux"}, {Name: "x64"}},
			RunnerSetting: scaleset.RunnerSetting{DisableUpdate: true},
		})
		if err != nil {
			return err
		}
		whole := made.ID > 0 && made.Name == "Linux" && made.RunnerGroupID == 1 && made.RunnerGroupName != "" &&
			made.RunnerSetting.DisableUpdate && !made.CreatedOn.IsZero() && made.RunnerJitConfigURL != ""
		return want(whole && sameLabels(made.Labels, "Linux", "x64"), "got %s", text(made))
	})
	return made
}

func checkLookUps(ctx context.Context, s *suite, client *scaleset.Client, made *scaleset.RunnerScaleSet) {
	s.check("it is found by its name, whatever the case", func() error {
		found, err := client.GetRunnerScaleSet(ctx, 1, "lINUX")
		if err != nil {
			return err
		}
		return want(found != nil && found.ID == made.ID, "got %s", text(found))
	})
	s.check("it is found by its id", func() error {
		found, err := client.GetRunnerScaleSetByID(ctx, made.ID)
		if err != nil {
			return err
		}
		return want(found != nil && found.Name == made.Name, "got %s", text(found))
	})
	s.check("it is not found in another runner group", func() error {
		found, err := client.GetRunnerScaleSet(ctx, 99, "linux")
		if err != nil {
			return err
		}
		return want(found == nil, "got %s", text(found))
	})
}

func checkUpdate(ctx context.Context, s *suite, client *scaleset.Client, made *scaleset.RunnerScaleSet) {
	s.check("a change of its labels is accepted and has no effect", func() error {
		changed, err := client.UpdateRunnerScaleSet(ctx, made.ID, &scaleset.RunnerScaleSet{
			Labels: []scaleset.Label{{Name: "arm64"}},
		})
		if err != nil {
			return err
		}
		return want(changed.Name == "Linux" && sameLabels(changed.Labels, "Linux", "x64"), "got %s", text(changed))
	})
	s.check("its name can be changed", func() error {
		changed, err := client.UpdateRunnerScaleSet(ctx, made.ID, &scaleset.RunnerScaleSet{Name: "renamed"})
		if err != nil {
			return err
		}
		return want(changed.Name == "renamed" && changed.ID == made.ID, "got %s", text(changed))
	})
	s.check("without labels it gets its name as the only one", func() error {
		plain, err := client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{Name: "plain", RunnerGroupID: 1})
		if err != nil {
			return err
		}
		if err := want(sameLabels(plain.Labels, "plain"), "got %s", text(plain)); err != nil {
			return err
		}
		return client.DeleteRunnerScaleSet(ctx, plain.ID)
	})
}

// sameLabels tells whether these are the labels, in order, with the type that the library sends.
func sameLabels(labels []scaleset.Label, names ...string) bool {
	if len(labels) != len(names) {
		return false
	}
	for i, label := range labels {
		if label.Name != names[i] || label.Type != "System" {
			return false
		}
	}
	return true
}
