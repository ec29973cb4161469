package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) sessionShow() *cobra.Command {
	return &cobra.Command{Use: "show SESSION", Short: "Show a session, and whether all that its app counted is on record", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withStore(ctx, func(st store.Store) error { return a.showSession(ctx, st, args[0]) })
		})}
}

func (a *app) showSession(ctx context.Context, st store.Store, sid string) error {
	s, err := st.Session(ctx, sid)
	if errors.Is(err, impersonation.ErrNotFound) || errors.Is(err, store.ErrNotFound) {
		return withHint(fmt.Errorf("there is no session %q", sid), "understudy session ls --all lists sessions")
	}
	if err != nil {
		return fmt.Errorf("session %s: %w", sid, err)
	}
	o, err1 := sessionJSON(ctx, newPeople(st), s)
	writers, err2 := admin.Writers(ctx, st, sid)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	t := table{header: []string{"FIELD", "VALUE"}}
	for _, row := range [][]string{
		{"session", o.ID}, {"actor", o.Actor.String()}, {"subject", o.Subject.String()}, {"client", o.Client}, {"mode", o.Mode},
		{"scope", strings.Join(o.Scope, " ")}, {"resource", o.Resource}, {"reason", o.Reason}, {"ticket number", o.TicketNumber},
		{"txn", o.Audit}, {"started", o.Started}, {"expires", o.Expires}, {"last active", o.LastActive}, {"ended", o.ended()}, {"ended by", o.EndedBy},
	} {
		t.add(row...)
	}
	for _, w := range writers {
		t.add("actions", countedBy(w))
	}
	return a.print(map[string]any{"session": o, "writers": writers}, t)
}

// countedBy puts into words what a process told: "12 by wrt_..., up to 14; missing: 3, 7". Of another client's it says whose it is.
func countedBy(w admin.Writer) string {
	of := ""
	if w.Server != "" {
		of = " of " + w.Server
	}
	if w.Name == "" && w.Last == 0 {
		return fmt.Sprintf("%d%s, not counted", w.Told, of)
	}
	text := fmt.Sprintf("%d by %s%s, up to %d", w.Told, w.Name, of, w.Last)
	if len(w.Missing) == 0 {
		text += ", none missing"
	} else {
		text += "; missing: " + list(w.Missing)
	}
	if len(w.Twice) > 0 {
		text += "; twice: " + list(w.Twice)
	}
	return text
}

// list has the first twenty: more say no more.
func list[T any](all []T) string {
	var texts []string
	for i, v := range all {
		if i == 20 {
			return strings.Join(texts, ", ") + fmt.Sprintf(" and %d more", len(all)-i)
		}
		texts = append(texts, fmt.Sprint(v))
	}
	return strings.Join(texts, ", ")
}
