package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) streamCmd() *cobra.Command {
	return a.group("stream", "Streams by which apps hear of ends: list, remove", a.streamList(), a.streamRemove())
}

func (a *app) streamList() *cobra.Command {
	var client string
	cmd := &cobra.Command{Use: "ls", Short: "List streams, the oldest first", Args: cobra.NoArgs,
		Long: "List the streams of Shared Signals, the oldest first. A process of an app opens one; it is gone a minute after the last poll.\nOne that is pushed (client set --ssf-push-uri) is there until that is taken back."}
	cmd.Flags().StringVar(&client, "client", "", "of this client (`ID`)")
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		return a.withStore(ctx, func(st store.Store) error { return a.listStreams(ctx, st, client) })
	})
	return cmd
}

func (a *app) listStreams(ctx context.Context, st store.Store, client string) error {
	all, err := st.Streams(ctx, client)
	if err != nil {
		return fmt.Errorf("listing streams: %w", err)
	}
	out := make([]streamOut, 0, len(all))
	t := table{header: []string{"STREAM", "CLIENT", "DELIVERY", "STATUS", "OPENED", "POLLED", "DESCRIPTION"}}
	for _, n := range all {
		o := streamJSON(n)
		out = append(out, o)
		t.add(o.ID, o.Client, o.Delivery, o.Status, o.Created, o.Polled, o.Description)
	}
	return a.print(map[string]any{"streams": out}, t)
}

func (a *app) streamRemove() *cobra.Command {
	return &cobra.Command{Use: "rm ID", Short: "Remove a stream; the app opens another", Args: cobra.ExactArgs(1),
		Long: "Remove a stream. What it did not tell yet is lost with it: an app that opens another begins with all that ended, and one that is\npushed begins anew from now on.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
				err := ad.CloseStream(ctx, args[0])
				if errors.Is(err, store.ErrNotFound) {
					return withHint(fmt.Errorf("there is no stream %q", args[0]), "understudy stream ls lists streams")
				}
				if err != nil {
					return err
				}
				return a.say(map[string]any{"stream_id": args[0], "removed": true}, "removed stream %s", args[0])
			})
		})}
}

// streamOut is a stream as -o json has it.
type streamOut struct {
	ID          string `json:"stream_id"`
	Client      string `json:"client_id"`
	Delivery    string `json:"delivery"` // poll or push
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"`
	Description string `json:"description,omitempty"`
	Created     string `json:"created"`
	Polled      string `json:"polled,omitempty"` // within ten seconds
}

func streamJSON(n store.Stream) streamOut {
	o := streamOut{ID: n.ID, Client: n.Client, Delivery: "poll", Status: n.Status, Reason: n.Reason, Description: n.Description, Created: stamp(n.Created), Polled: stamp(n.Polled)}
	if n.Push {
		o.Delivery, o.Polled = "push", ""
	}
	return o
}
