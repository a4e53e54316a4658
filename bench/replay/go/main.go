// Records histories of the benchmark's workflow with the official Go SDK, and measures how fast that SDK replays them.
//
//	bench record -address HOST:PORT -rounds N -out FILE
//	bench replay -seconds S FILE...     one JSON line a file: events, events/s from JSON and from parsed messages
//	bench tree -jobs N FOLDER           seconds for every history below the folder
//
// The workflow is the one that bench/replay/replay_bench.cpp and bench_replay.py have: rounds of ten parallel activities, and
// a short timer after every fifth round.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

type part struct {
	Table string `json:"table"`
	Round int    `json:"round"`
	Part  int    `json:"part"`
}

type loaded struct {
	Rows  int    `json:"rows"`
	Table string `json:"table"`
}

func load(_ context.Context, input part) (loaded, error) {
	return loaded{Rows: 1000 + input.Part, Table: input.Table}, nil
}

func rounds(ctx workflow.Context, count int) (int, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	rows := 0
	for round := 0; round < count; round++ {
		var futures []workflow.Future
		for i := 0; i < 10; i++ {
			futures = append(futures, workflow.ExecuteActivity(ctx, "load", part{Table: "orders", Round: round, Part: i}))
		}
		for _, future := range futures {
			var answer loaded
			if err := future.Get(ctx, &answer); err != nil {
				return 0, err
			}
			rows += answer.Rows
		}
		if round%5 == 4 {
			if err := workflow.Sleep(ctx, time.Millisecond); err != nil {
				return 0, err
			}
		}
	}
	return rows, nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func quiet() log.Logger {
	return log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
}

func record(address string, count int, out string) error {
	connection, err := client.Dial(client.Options{HostPort: address, Logger: quiet()})
	if err != nil {
		return err
	}
	defer connection.Close()
	queue := fmt.Sprintf("go-bench-%d", os.Getpid())
	served := worker.New(connection, queue, worker.Options{})
	served.RegisterWorkflowWithOptions(rounds, workflow.RegisterOptions{Name: "rounds"})
	served.RegisterActivityWithOptions(load, activity.RegisterOptions{Name: "load"})
	if err := served.Start(); err != nil {
		return err
	}
	defer served.Stop()
	ctx := context.Background()
	run, err := connection.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: fmt.Sprintf("%s-%d", queue, count), TaskQueue: queue}, "rounds", count)
	if err != nil {
		return err
	}
	if err := run.Get(ctx, nil); err != nil {
		return err
	}
	history := &historypb.History{}
	events := connection.GetWorkflowHistory(ctx, run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return err
		}
		history.Events = append(history.Events, event)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: "  "}.Marshal(history)
	if err != nil {
		return err
	}
	return os.WriteFile(out, text, 0o644)
}

func replayer() (worker.WorkflowReplayer, error) {
	made, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{})
	if err != nil {
		return nil, err
	}
	made.RegisterWorkflowWithOptions(rounds, workflow.RegisterOptions{Name: "rounds"})
	return made, nil
}

// Runs `once` until `seconds` have passed, at least three times; the median of the times.
func median(seconds float64, once func() error) (time.Duration, error) {
	var times []time.Duration
	for start := time.Now(); len(times) < 3 || time.Since(start).Seconds() < seconds; {
		before := time.Now()
		if err := once(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(before))
	}
	for i := range times {
		for j := i; j > 0 && times[j] < times[j-1]; j-- {
			times[j], times[j-1] = times[j-1], times[j]
		}
	}
	return times[len(times)/2], nil
}

func measure(path string, seconds float64) error {
	engine, err := replayer()
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	file.Close()
	if err != nil {
		return err
	}
	count := float64(len(history.Events))
	fromJSON, err := median(seconds, func() error { return engine.ReplayWorkflowHistoryFromJSONFile(quiet(), path) })
	if err != nil {
		return err
	}
	parsed, err := median(seconds, func() error { return engine.ReplayWorkflowHistory(quiet(), history) })
	if err != nil {
		return err
	}
	line, err := json.Marshal(map[string]any{"file": path, "events": count, "json": count / fromJSON.Seconds(), "parsed": count / parsed.Seconds()})
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	return nil
}

func tree(folder string, jobs int) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return err
	}
	start := time.Now()
	next := make(chan string)
	var group sync.WaitGroup
	var mutex sync.Mutex
	var first error
	for i := 0; i < jobs; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			engine, err := replayer()
			for path := range next {
				if err == nil {
					err = engine.ReplayWorkflowHistoryFromJSONFile(quiet(), path)
				}
			}
			if err != nil {
				mutex.Lock()
				first = err
				mutex.Unlock()
			}
		}()
	}
	for _, path := range files {
		next <- path
	}
	close(next)
	group.Wait()
	if first != nil {
		return first
	}
	fmt.Printf("{\"histories\":%d,\"seconds\":%.4f}\n", len(files), time.Since(start).Seconds())
	return nil
}

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("expected record, replay or tree"))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	address := flags.String("address", "", "server")
	count := flags.Int("rounds", 1, "rounds of ten activities")
	out := flags.String("out", "", "file for the history")
	seconds := flags.Float64("seconds", 2, "time spent on each figure")
	jobs := flags.Int("jobs", 2, "replays at once")
	_ = flags.Parse(os.Args[2:])
	var err error
	switch os.Args[1] {
	case "record":
		err = record(*address, *count, *out)
	case "replay":
		for _, path := range flags.Args() {
			if err = measure(path, *seconds); err != nil {
				break
			}
		}
	case "tree":
		err = tree(flags.Arg(0), *jobs)
	default:
		err = fmt.Errorf("expected record, replay or tree, found %s", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}
