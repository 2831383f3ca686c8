// Conformance checks our simulator of GitHub with GitHub's own client library: every call of the client, then
// the library's listener from start to end, with our agent as the runner. Instead, -arc checks it with calls as
// an older client made them, which must acquire its jobs. The simulator must be newly started, with fast timers.
// With -modfile=older.mod -tags older, go build takes the first version of the library.
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
	var opts options
	flag.StringVar(&opts.url, "url", "http://127.0.0.1:9001", "where the simulator listens")
	flag.StringVar(&opts.controlToken, "control-token", "", "the token of the simulator's control API")
	flag.StringVar(&opts.flavour, "flavour", "assign", "the simulator's flavour: assign or acquire")
	flag.BoolVar(&opts.arc, "arc", false, "make calls as ARC 0.13 did; needs the flavour acquire")
	flag.StringVar(&opts.python, "python", "python3", "the interpreter that runs the agent")
	flag.StringVar(&opts.agent, "agent", "", "the path of the runner agent")
	flag.IntVar(&opts.jobs, "jobs", 30, "how many jobs the listener runs")
	flag.IntVar(&opts.runners, "runners", 5, "how many runners may run at once")
	flag.Parse()
	opts.url = strings.TrimRight(opts.url, "/")
	os.Exit(run(opts))
}

func run(opts options) int {
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

	checks := &suite{options: opts, folder: folder, control: control{url: opts.url, token: opts.controlToken}}
	if opts.arc {
		runArc(ctx, checks)
	} else {
		runLibrary(ctx, checks)
	}
	return checks.summary()
}

func runLibrary(ctx context.Context, checks *suite) {
	checks.part(ctx, "credentials and scopes", checkScopes)
	checks.part(ctx, "scale sets", checkScaleSets)
	checks.part(ctx, "runners", checkRunners)
	checks.part(ctx, "sessions", checkSessions)
	checks.part(ctx, "jobs", checkJobs)
	checks.part(ctx, "recoveries", checkRecoveries)
	checks.part(ctx, "listener", checkListener)
	checkRefusals(ctx, checks)
}

func runArc(ctx context.Context, checks *suite) {
	checks.part(ctx, "ARC's scale sets", checkArcScaleSets)
	checks.part(ctx, "ARC's runners", checkArcRunners)
	checks.part(ctx, "ARC's sessions", checkArcSessions)
	checks.part(ctx, "ARC's offers", checkArcOffers)
	checks.part(ctx, "ARC's listener", checkArcListener)
	checkArcRefusals(ctx, checks)
}
