package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/actions/scaleset"
)

// judgeScopes logs in with each kind of credential, on each kind of config URL.
func judgeScopes(ctx context.Context, j *judge) {
	for _, path := range []string{organisation, organisation + "/my-repo", "enterprises/my-enterprise"} {
		j.check("a token serves "+path, func() error {
			client, err := j.client(path)
			if err != nil {
				return err
			}
			return comesAndGoes(ctx, client)
		})
	}
	j.check("a GitHub App serves "+organisation, func() error {
		client, err := j.app(organisation)
		if err != nil {
			return err
		}
		return comesAndGoes(ctx, client)
	})
	j.check("a client may say later which scale set it is about", func() error {
		client, err := j.client(organisation)
		if err != nil {
			return err
		}
		info := client.SystemInfo()
		info.ScaleSetID, info.Subsystem = 42, "listener"
		client.SetSystemInfo(info)
		if err := want(client.SystemInfo() == info, "got %s", client.DebugInfo()); err != nil {
			return err
		}
		return comesAndGoes(ctx, client)
	})
}

// comesAndGoes makes a scale set and deletes it.
func comesAndGoes(ctx context.Context, client *scaleset.Client) error {
	made, err := client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{Name: "short-lived", RunnerGroupID: 1})
	if err != nil {
		return err
	}
	return client.DeleteRunnerScaleSet(ctx, made.ID)
}

func (j *judge) app(path string) (*scaleset.Client, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return scaleset.NewClientWithGitHubApp(scaleset.ClientWithGitHubAppConfig{
		GitHubConfigURL: j.url + "/" + path,
		GitHubAppAuth:   scaleset.GitHubAppAuth{ClientID: "Iv1.conformance", InstallationID: 7, PrivateKey: string(pem.EncodeToMemory(block))},
		SystemInfo:      system,
	})
}
