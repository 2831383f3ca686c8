"""`runner doctor`: finds what dead daemons left, and removes it (docs/behaviour.md § 14.5).

| module | about |
| --- | --- |
| `findings` | what was found, and the verdict on it |
| `verdicts` | the decisions, without effects |
| `owners` | which daemons live: the locks of their state directories |
| `surveys` | the engines and hosts to look at |
| `go_daemon` | whether a daemon of the Go tool answers |
| `registrations` | runners that dead daemons left registered at GitHub |
| `doctor` | all of it together |
| `report` | lines and JSON |
"""
