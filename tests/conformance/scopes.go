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

// checkScopes logs in with each kind of credential and each kind of config URL.
func checkScopes(ctx context.Context, s *suite) {
	for _, path := range []string{organisation, organisation + "/my-repo", "enterprises/my-enterprise"} {
		s.check("a token serves "+path, func() error {
			client, err := s.client(path)
			if err != nil {
				return err
			}
			return createAndDelete(ctx, client)
		})
	}
	s.check("a GitHub App serves "+organisation, func() error {
		client, err := s.app(organisation)
		if err != nil {
			return err
		}
		return createAndDelete(ctx, client)
	})
	s.check("a client may say later which scale set it is about", func() error {
		client, err := s.client(organisation)
		if err != nil {
			return err
		}
		info := client.SystemInfo()
		info.ScaleSetID, info.Subsystem = 42, "listener"
		client.SetSystemInfo(info)
		if err := want(client.SystemInfo() == info, "got %s", client.DebugInfo()); err != nil {
			return err
		}
		return createAndDelete(ctx, client)
	})
}

// createAndDelete creates a scale set and deletes it.
func createAndDelete(ctx context.Context, client *scaleset.Client) error {
	made, err := client.CreateRunnerScaleSet(ctx, &scaleset.RunnerScaleSet{Name: "short-lived", RunnerGroupID: 1})
	if err != nil {
		return err
	}
	return client.DeleteRunnerScaleSet(ctx, made.ID)
}

func (s *suite) app(path string) (*scaleset.Client, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return scaleset.NewClientWithGitHubApp(scaleset.ClientWithGitHubAppConfig{
		GitHubConfigURL: s.url + "/" + path,
		GitHubAppAuth:   scaleset.GitHubAppAuth{ClientID: "Iv1.conformance", InstallationID: 7, PrivateKey: string(pem.EncodeToMemory(block))},
		SystemInfo:      system,
	})
}
