// Conformance judges our simulator of GitHub by GitHub's own client library: every call of the
// client, then a whole life of the library's listener with our agent as the runner. The simulator
// must be fresh and run with fast timers.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	var told options
	flag.StringVar(&told.url, "url", "http://127.0.0.1:9001", "where the simulator listens")
	flag.StringVar(&told.flavour, "flavour", "assign", "the simulator's flavour: assign or acquire")
	flag.StringVar(&told.python, "python", "python3", "the interpreter that runs the agent")
	flag.StringVar(&told.agent, "agent", "", "the path of the runner agent")
	flag.IntVar(&told.jobs, "jobs", 30, "how many jobs the listener sees through")
	flag.IntVar(&told.runners, "runners", 5, "how many runners may live at once")
	flag.Parse()
	told.url = strings.TrimRight(told.url, "/")
	os.Exit(run(told))
}

func run(told options) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(folder)

	judge := &judge{options: told, folder: folder, control: control{url: told.url}}
	judge.part(ctx, "credentials and scopes", judgeScopes)
	judge.part(ctx, "scale sets", judgeScaleSets)
	judge.part(ctx, "runners", judgeRunners)
	judge.part(ctx, "sessions", judgeSessions)
	judge.part(ctx, "jobs", judgeJobs)
	judge.part(ctx, "recoveries", judgeRecoveries)
	judge.part(ctx, "listener", judgeListener)
	judgeRefusals(ctx, judge)
	return judge.summary()
}
