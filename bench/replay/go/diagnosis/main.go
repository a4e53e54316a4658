// What the replayer of the official Go SDK says about defects like those of bench/diagnosis: one workflow is recorded on a
// development server, then its history is replayed with the workflow changed in one way each.
//
//	diagnosis -address HOST:PORT -out FILE
//
// The workflow and the changes are those of bench/diagnosis/python_peer.py.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"os"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// One way in which the workflow is wrong; the zero value is the one that was recorded.
type change struct {
	swapped, send, other, ungated, stays, dropped, spawned, unheard, unwaited bool
	timer                                                                     time.Duration
	timeout                                                                   time.Duration
	attempts                                                                  int32
	input                                                                     func() any
}

type variant struct {
	what, kind string
	change     change
}

var counter = 0

func variants() []variant {
	input := func(value func() any) change { return change{input: value} }
	return []variant{
		{"two activities of one task are swapped", "order", change{swapped: true}},
		{"an activity has another type", "type", change{send: true}},
		{"an activity has another input", "input", input(func() any { return 2 })},
		{"a timer takes longer", "timer", change{timer: 300 * time.Millisecond}},
		{"the result is another one", "result", change{other: true}},
		{"time-outs are changed", "time-out", change{timeout: 11 * time.Second}},
		{"retry numbers are changed", "time-out", change{attempts: 4}},
		{"a new activity without a gate", "missing gate", change{ungated: true}},
		{"a gate is removed, its new side stays", "retired gate", change{stays: true}},
		{"a gate is removed with what it guards", "retired gate", change{dropped: true}},
		{"order of a map in an input", "hash order", input(func() any {
			for word := range map[string]bool{"b": true, "a": true, "c": true, "d": true, "e": true, "f": true} {
				return word
			}
			return ""
		})},
		{"clock of the machine in an input", "time", input(func() any { return time.Now().UnixNano() })},
		{"random number in an input", "random", input(func() any { return rand.Int63() })},
		{"counter of the process in an input", "global", input(func() any { counter += 7; return counter })},
		{"a goroutine computes an input", "thread", input(func() any {
			answer := make(chan int64)
			go func() { answer <- time.Now().UnixNano() % 97 }()
			return <-answer
		})},
		{"a variable of the environment in an input", "environment", input(func() any { return os.Getenv("HOME") })},
		{"a number written as text in an input", "locale", input(func() any { return fmt.Sprintf("%.2f", 1.5) })},
		{"floating point in a timer", "float", change{timer: time.Duration(float32(0.1+0.2-0.1) * 1.000001 * float32(time.Second))}},
		{"a signal is lost", "lost signal", change{unheard: true}},
		{"a wait for a signal is dropped", "lost signal", change{unwaited: true}},
		{"a wait for a timer is dropped", "timer", change{spawned: true}},
	}
}

func order(c change) func(workflow.Context, string) (map[string]any, error) {
	return func(ctx workflow.Context, name string) (map[string]any, error) {
		timeout, attempts, nap := 10*time.Second, int32(3), 200*time.Millisecond
		if c.timeout != 0 {
			timeout = c.timeout
		}
		if c.attempts != 0 {
			attempts = c.attempts
		}
		if c.timer != 0 {
			nap = c.timer
		}
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: timeout, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: attempts},
		})
		var number any = 1
		if c.input != nil {
			number = c.input()
		}
		var first string
		if err := workflow.ExecuteActivity(ctx, "reserve", name, number).Get(ctx, &first); err != nil {
			return nil, err
		}
		types := []string{"pick", "pack"}
		if c.swapped {
			types = []string{"pack", "pick"}
		}
		var both []workflow.Future
		for _, kind := range types {
			both = append(both, workflow.ExecuteActivity(ctx, kind, first))
		}
		for _, future := range both {
			if err := future.Get(ctx, nil); err != nil {
				return nil, err
			}
		}
		if c.ungated {
			if err := workflow.ExecuteActivity(ctx, "audit", first).Get(ctx, nil); err != nil {
				return nil, err
			}
		}
		if c.spawned {
			workflow.NewTimer(ctx, nap)
		} else if err := workflow.Sleep(ctx, nap); err != nil {
			return nil, err
		}
		insured := c.stays
		if !c.stays && !c.dropped {
			insured = workflow.GetVersion(ctx, "insured", workflow.DefaultVersion, 1) == 1
		}
		if insured {
			if err := workflow.ExecuteActivity(ctx, "insure", first).Get(ctx, nil); err != nil {
				return nil, err
			}
		}
		amount := 0
		signal := "approve"
		if c.unheard {
			signal = "approved"
		}
		if !c.unwaited {
			workflow.GetSignalChannel(ctx, signal).Receive(ctx, &amount)
		}
		kind := "ship"
		if c.send {
			kind = "send"
		}
		if err := workflow.ExecuteActivity(ctx, kind, first, amount).Get(ctx, nil); err != nil {
			return nil, err
		}
		return map[string]any{"done": !c.other, "name": name}, nil
	}
}

func quiet() log.Logger {
	return log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
}

func record(address string) (*historypb.History, error) {
	connection, err := client.Dial(client.Options{HostPort: address, Logger: quiet()})
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	queue := fmt.Sprintf("go-diagnosis-%d", os.Getpid())
	served := worker.New(connection, queue, worker.Options{})
	served.RegisterWorkflowWithOptions(order(change{}), workflow.RegisterOptions{Name: "Order"})
	served.RegisterDynamicActivity(func(context.Context, converter.EncodedValues) (string, error) { return "ok", nil }, activity.DynamicRegisterOptions{})
	if err := served.Start(); err != nil {
		return nil, err
	}
	defer served.Stop()
	ctx := context.Background()
	run, err := connection.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Order", "n")
	if err != nil {
		return nil, err
	}
	if err := connection.SignalWorkflow(ctx, run.GetID(), run.GetRunID(), "approve", 5); err != nil {
		return nil, err
	}
	if err := run.Get(ctx, nil); err != nil {
		return nil, err
	}
	history := &historypb.History{}
	events := connection.GetWorkflowHistory(ctx, run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, err
		}
		history.Events = append(history.Events, event)
	}
	return history, nil
}

func replay(c change, history *historypb.History) error {
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(order(c), workflow.RegisterOptions{Name: "Order"})
	return replayer.ReplayWorkflowHistory(quiet(), history)
}

type result struct {
	What    string `json:"what"`
	Kind    string `json:"kind"`
	Caught  bool   `json:"caught"`
	Message string `json:"message"`
}

func shortened(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 140 {
		text = string(runes[:134]) + " [...]"
	}
	return text
}

func run(address, out string) error {
	history, err := record(address)
	if err != nil {
		return err
	}
	if err := replay(change{}, history); err != nil {
		return fmt.Errorf("the recorded workflow is not in step: %w", err)
	}
	var results []result
	for _, v := range variants() {
		said := result{What: v.what, Kind: v.kind}
		if err := replay(v.change, history); err != nil {
			said.Caught = true
			said.Message = shortened(err.Error())
		}
		results = append(results, said)
	}
	text, err := json.MarshalIndent(map[string]any{"sdk": "go.temporal.io/sdk " + temporal.SDKVersion, "results": results}, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

func main() {
	address := flag.String("address", "127.0.0.1:7233", "server")
	out := flag.String("out", "go_peer.json", "file to write")
	flag.Parse()
	if err := run(*address, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
