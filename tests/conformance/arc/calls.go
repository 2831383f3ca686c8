package arc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// FindScaleSet returns nil if there is none of that name.
func (c *Client) FindScaleSet(ctx context.Context, group int, name string) (*ScaleSet, error) {
	return one[ScaleSet](ctx, c, fmt.Sprintf("/%s?runnerGroupId=%d&name=%s", scaleSets, group, name))
}

func (c *Client) ScaleSet(ctx context.Context, id int) (*ScaleSet, error) {
	var found *ScaleSet
	err := c.call(ctx, http.MethodGet, fmt.Sprintf("/%s/%d", scaleSets, id), nil, &found)
	return found, err
}

// FindGroup returns nil if there is no runner group of that name.
func (c *Client) FindGroup(ctx context.Context, name string) (*Group, error) {
	return one[Group](ctx, c, "/_apis/runtime/runnergroups/?groupName="+name)
}

func (c *Client) CreateScaleSet(ctx context.Context, wanted *ScaleSet) (made *ScaleSet, err error) {
	err = c.call(ctx, http.MethodPost, scaleSets, wanted, &made)
	return made, err
}

func (c *Client) UpdateScaleSet(ctx context.Context, id int, changes *ScaleSet) (changed *ScaleSet, err error) {
	err = c.call(ctx, http.MethodPatch, fmt.Sprintf("%s/%d", scaleSets, id), changes, &changed)
	return changed, err
}

func (c *Client) DeleteScaleSet(ctx context.Context, id int) error {
	return c.call(ctx, http.MethodDelete, fmt.Sprintf("/%s/%d", scaleSets, id), nil, nil)
}

func (c *Client) GenerateJITConfig(ctx context.Context, scaleSet int, name string) (made *JITConfig, err error) {
	setting := map[string]string{"name": name, "workFolder": ""}
	err = c.call(ctx, http.MethodPost, fmt.Sprintf("/%s/%d/generatejitconfig", scaleSets, scaleSet), setting, &made)
	return made, err
}

func (c *Client) Runner(ctx context.Context, id int) (found *Runner, err error) {
	err = c.call(ctx, http.MethodGet, fmt.Sprintf("/%s/%d", runners, id), nil, &found)
	return found, err
}

// FindRunner returns nil if there is none of that name.
func (c *Client) FindRunner(ctx context.Context, name string) (*Runner, error) {
	return one[Runner](ctx, c, fmt.Sprintf("/%s?agentName=%s", runners, name))
}

func (c *Client) RemoveRunner(ctx context.Context, id int) error {
	return c.call(ctx, http.MethodDelete, fmt.Sprintf("/%s/%d", runners, id), nil, nil)
}

func (c *Client) CreateSession(ctx context.Context, scaleSet int, owner string) (made *Session, err error) {
	path := fmt.Sprintf("/%s/%d/sessions", scaleSets, scaleSet)
	err = c.call(ctx, http.MethodPost, path, &Session{Owner: owner}, &made)
	return made, err
}

func (c *Client) RefreshSession(ctx context.Context, scaleSet int, id string) (fresh *Session, err error) {
	path := fmt.Sprintf("/%s/%d/sessions/%s", scaleSets, scaleSet, id)
	err = c.call(ctx, http.MethodPatch, path, nil, &fresh)
	return fresh, err
}

func (c *Client) DeleteSession(ctx context.Context, scaleSet int, id string) error {
	return c.call(ctx, http.MethodDelete, fmt.Sprintf("/%s/%d/sessions/%s", scaleSets, scaleSet, id), nil, nil)
}

// AcquirableJobs lists the jobs on offer; a reply without content means none.
func (c *Client) AcquirableJobs(ctx context.Context, scaleSet int) ([]Offer, error) {
	var list listing[Offer]
	err := c.call(ctx, http.MethodGet, fmt.Sprintf("/%s/%d/acquirablejobs", scaleSets, scaleSet), nil, &list)
	return list.Value, err
}

// AcquireJobs returns the ids that it acquired. The service's URL ends with a slash, and another one follows.
func (c *Client) AcquireJobs(ctx context.Context, scaleSet int, queueToken string, ids []int64) ([]int64, error) {
	address := fmt.Sprintf("%s/%s/%d/acquirejobs?%s", c.service, scaleSets, scaleSet, version)
	header := http.Header{"Authorization": {"Bearer " + queueToken}, "Content-Type": {"application/json"}}
	var list listing[int64]
	err := c.send(ctx, http.MethodPost, address, header, ids, &list)
	return list.Value, queueError(err)
}

// GetMessage returns nil if nothing has come.
func (c *Client) GetMessage(ctx context.Context, session *Session, last int64, capacity int) (*Message, error) {
	address, err := url.Parse(session.QueueURL)
	if err != nil {
		return nil, err
	}
	if last > 0 {
		query := address.Query()
		query.Set("lastMessageId", strconv.FormatInt(last, 10))
		address.RawQuery = query.Encode()
	}
	header := http.Header{}
	header.Set("Accept", "application/json; "+version)
	header.Set("Authorization", "Bearer "+session.QueueToken)
	header.Set("X-ScaleSetMaxCapacity", strconv.Itoa(capacity))
	var message *Message
	err = c.send(ctx, http.MethodGet, address.String(), header, nil, &message)
	return message, queueError(err)
}

func (c *Client) DeleteMessage(ctx context.Context, session *Session, id int64) error {
	address, err := url.Parse(session.QueueURL)
	if err != nil {
		return err
	}
	address.Path = fmt.Sprintf("%s/%d", address.Path, id)
	header := http.Header{"Authorization": {"Bearer " + session.QueueToken}, "Content-Type": {"application/json"}}
	return queueError(c.send(ctx, http.MethodDelete, address.String(), header, nil, nil))
}

func queueError(err error) error {
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		return fmt.Errorf("%w: %w", ErrTokenExpired, err)
	}
	return err
}

// one returns the only element of a list, nil if the list is empty.
func one[T any](ctx context.Context, c *Client, path string) (*T, error) {
	var list listing[T]
	if err := c.call(ctx, http.MethodGet, path, nil, &list); err != nil {
		return nil, err
	}
	switch list.Count {
	case 0:
		return nil, nil
	case 1:
		return &list.Value[0], nil
	}
	return nil, fmt.Errorf("%d found at %s", list.Count, path)
}
