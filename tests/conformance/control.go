package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// control is a client of the simulator's control API (docs/protocol.md § 9.6).
type control struct{ url, token string }

// step is one shell step of a job.
type step struct {
	Name string `json:"name"`
	Run  string `json:"run"`
}

// violations are all violations so far, including what would be left behind if the client ended now.
func (c control) violations(ctx context.Context) ([]json.RawMessage, error) {
	var listed []json.RawMessage
	err := c.call(ctx, http.MethodGet, "violations?final=1", nil, &listed)
	return listed, err
}

func (c control) clearViolations(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "violations", nil, nil)
}

// queue queues count equal jobs with one step and returns their ids.
func (c control) queue(ctx context.Context, scaleSet string, count int, run string) ([]string, error) {
	request := map[string]any{
		"scaleSet":    scaleSet,
		"count":       count,
		"displayName": "conformance",
		"steps":       []step{{Name: "only", Run: run}},
	}
	var ids []string
	err := c.call(ctx, http.MethodPost, "jobs", request, &ids)
	return ids, err
}

func (c control) cancel(ctx context.Context, job string) error {
	return c.call(ctx, http.MethodPost, "jobs/"+job+"/cancel", nil, nil)
}

func (c control) session(ctx context.Context, id, action string) error {
	return c.call(ctx, http.MethodPost, "sessions/"+id, map[string]string{"action": action}, nil)
}

// fault sets a fault for the next count matching calls.
func (c control) fault(ctx context.Context, name string, count int, match map[string]string, params map[string]any) error {
	request := map[string]any{"fault": name, "count": count, "match": match, "params": params}
	return c.call(ctx, http.MethodPost, "faults", request, nil)
}

func (c control) call(ctx context.Context, method, path string, body, reply any) error {
	var sent io.Reader
	if body != nil {
		written, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(written)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+"/_sim/control/v1/"+path, sent)
	if err != nil {
		return err
	}
	request.Header.Set("X-Sim-Control", c.token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "conformance")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return read(response, reply)
}

func read(response *http.Response, reply any) error {
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("control API: %s: %s", response.Status, content)
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(content, reply)
}
