package arc

import "time"

// The types have all fields that ARC reads or sends, with its types: what it cannot decode fails here, too.

type Label struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

type Setting struct {
	Ephemeral     bool `json:"ephemeral,omitempty"`
	IsElastic     bool `json:"isElastic,omitempty"`
	DisableUpdate bool `json:"disableUpdate,omitempty"`
}

type Statistics struct {
	Available  int `json:"totalAvailableJobs"`
	Acquired   int `json:"totalAcquiredJobs"`
	Assigned   int `json:"totalAssignedJobs"`
	Running    int `json:"totalRunningJobs"`
	Registered int `json:"totalRegisteredRunners"`
	Busy       int `json:"totalBusyRunners"`
	Idle       int `json:"totalIdleRunners"`
}

type ScaleSet struct {
	ID           int         `json:"id,omitempty"`
	Name         string      `json:"name,omitempty"`
	GroupID      int         `json:"runnerGroupId,omitempty"`
	GroupName    string      `json:"runnerGroupName,omitempty"`
	Labels       []Label     `json:"labels,omitempty"`
	Setting      Setting     `json:"RunnerSetting,omitempty"`
	CreatedOn    time.Time   `json:"createdOn,omitempty"`
	JITConfigURL string      `json:"runnerJitConfigUrl,omitempty"`
	Statistics   *Statistics `json:"statistics,omitempty"`
}

type Group struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	Size      int64  `json:"size"`
	IsDefault bool   `json:"isDefaultGroup"`
}

type Runner struct {
	ID         int    `json:"id"`
	Name       string `json:"name"`
	ScaleSetID int    `json:"runnerScaleSetId"`
}

type JITConfig struct {
	Runner  *Runner `json:"runner"`
	Encoded string  `json:"encodedJITConfig"`
}

type Session struct {
	ID         string      `json:"sessionId,omitempty"`
	Owner      string      `json:"ownerName,omitempty"`
	ScaleSet   *ScaleSet   `json:"runnerScaleSet,omitempty"`
	QueueURL   string      `json:"messageQueueUrl,omitempty"`
	QueueToken string      `json:"messageQueueAccessToken,omitempty"`
	Statistics *Statistics `json:"statistics,omitempty"`
}

type Message struct {
	ID         int64       `json:"messageId"`
	Type       string      `json:"messageType"`
	Body       string      `json:"body"`
	Statistics *Statistics `json:"statistics"`
}

// Offer is a job that acquirablejobs lists.
type Offer struct {
	AcquireURL string   `json:"acquireJobUrl"`
	Type       string   `json:"messageType"`
	RequestID  int64    `json:"runnerRequestId"`
	Repository string   `json:"repositoryName"`
	Owner      string   `json:"ownerName"`
	Workflow   string   `json:"jobWorkflowRef"`
	Event      string   `json:"eventName"`
	Labels     []string `json:"requestLabels"`
}

// JobEvent is a job message of any type; fields that its type lacks are empty.
type JobEvent struct {
	Offer
	JobID          string    `json:"jobId"`
	DisplayName    string    `json:"jobDisplayName"`
	RunID          int64     `json:"workflowRunId"`
	QueuedAt       time.Time `json:"queueTime"`
	AssignedAt     time.Time `json:"scaleSetAssignTime"`
	RunnerAssigned time.Time `json:"runnerAssignTime"`
	FinishedAt     time.Time `json:"finishTime"`
	RunnerID       int       `json:"runnerId"`
	RunnerName     string    `json:"runnerName"`
	Result         string    `json:"result"`
}

type listing[T any] struct {
	Count int `json:"count"`
	Value []T `json:"value"`
}
