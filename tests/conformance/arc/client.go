// Package arc makes its requests as the Actions Runner Controller (ARC) 0.13 does, from which GitHub's own client
// library was taken. On the wire it differs from that library: another User-Agent, `ephemeral` among the settings,
// times of the year 1 in what it sends, offers that it has listed, and a doubled slash before the path that
// acquires jobs, whose URL it joins from texts (docs/protocol.md § 4.3, 6).
package arc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/hashicorp/go-retryablehttp"
)

const (
	runners   = "_apis/distributedtask/pools/0/agents"
	scaleSets = "_apis/runtime/runnerscalesets"
	version   = "api-version=6.0-preview"
	userAgent = "actions-runner-controller/0.13.0 (0000000; listener) ScaleSetID/NA (Proxy/disabled)"
)

// ErrTokenExpired means that the queue token has ended: the session must be refreshed.
var ErrTokenExpired = errors.New("the message queue's token has expired")

// Error is a refusal by the actions service, with the name of its exception.
type Error struct {
	Status     int
	ActivityID string
	TypeName   string `json:"typeName"`
	Message    string `json:"message"`
}

func (e *Error) Error() string {
	return fmt.Sprintf("status %d, activity %q: %s: %s", e.Status, e.ActivityID, e.TypeName, e.Message)
}

// IsException tells whether err is a refusal whose exception has this short name.
func IsException(err error, name string) bool {
	var refused *Error
	return errors.As(err, &refused) && strings.Contains(refused.TypeName, name)
}

// Client logs in when it is first used, and again a minute before its admin token ends.
type Client struct {
	http    *http.Client
	config  *url.URL
	token   string
	service string
	admin   string
	expires time.Time
}

// NewClient makes a client for the config URL of an organisation on GitHub Enterprise Server.
func NewClient(configURL, token string) (*Client, error) {
	config, err := url.Parse(configURL)
	if err != nil {
		return nil, err
	}
	retrying := retryablehttp.NewClient()
	retrying.Logger = nil
	retrying.HTTPClient.Timeout = 5 * time.Minute
	return &Client{http: retrying.StandardClient(), config: config, token: token}, nil
}

func (c *Client) login(ctx context.Context) error {
	if time.Now().Add(time.Minute).Before(c.expires) {
		return nil
	}
	var registration struct{ Token string }
	path := fmt.Sprintf("/orgs/%s/actions/runners/registration-token", strings.Trim(c.config.Path, "/"))
	header := http.Header{"Authorization": {"Bearer " + c.token}, "Content-Type": {"application/vnd.github.v3+json"}}
	if err := c.rest(ctx, path, header, nil, &registration); err != nil {
		return err
	}
	var connection struct{ URL, Token string }
	body := map[string]string{"url": c.config.String(), "runner_event": "register"}
	header = http.Header{"Authorization": {"RemoteAuth " + registration.Token}, "Content-Type": {"application/json"}}
	if err := c.rest(ctx, "/actions/runner-registration", header, body, &connection); err != nil {
		return err
	}
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(connection.Token, &claims); err != nil {
		return err
	}
	c.service, c.admin, c.expires = connection.URL, connection.Token, claims.ExpiresAt.Time
	return nil
}

func (c *Client) rest(ctx context.Context, path string, header http.Header, body, reply any) error {
	address := url.URL{Scheme: c.config.Scheme, Host: c.config.Host, Path: "/api/v3" + path}
	return c.send(ctx, http.MethodPost, address.String(), header, body, reply)
}

// call makes a call of the actions service; path may have a query, and a slash before it.
func (c *Client) call(ctx context.Context, method, path string, body, reply any) error {
	if err := c.login(ctx); err != nil {
		return err
	}
	relative, err := url.Parse(path)
	if err != nil {
		return err
	}
	joined, err := url.JoinPath(c.service, relative.Path)
	if err != nil {
		return err
	}
	address, query := joined+"?"+version, relative.RawQuery
	if query != "" {
		address += "&" + query
	}
	header := http.Header{"Authorization": {"Bearer " + c.admin}, "Content-Type": {"application/json"}}
	return c.send(ctx, method, address, header, body, reply)
}

func (c *Client) send(ctx context.Context, method, address string, header http.Header, body, reply any) error {
	var sent io.Reader
	if body != nil {
		written, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(written)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, sent)
	if err != nil {
		return err
	}
	request.Header = header
	request.Header.Set("User-Agent", userAgent)
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if response.StatusCode >= http.StatusMultipleChoices {
		return refusal(response, content)
	}
	if reply == nil || response.StatusCode == http.StatusAccepted || response.StatusCode == http.StatusNoContent {
		return nil
	}
	return json.Unmarshal(content, reply)
}

func refusal(response *http.Response, content []byte) error {
	refused := &Error{Status: response.StatusCode, ActivityID: response.Header.Get("ActivityId")}
	if strings.Contains(response.Header.Get("Content-Type"), "text/plain") || len(content) == 0 {
		refused.Message = string(content)
		return refused
	}
	return errors.Join(refused, json.Unmarshal(content, refused))
}
