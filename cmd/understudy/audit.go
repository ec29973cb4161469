package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) auditCmd() *cobra.Command {
	return a.group("audit", "The trail: who did what to whom, when and why", a.auditList(), a.auditShow())
}

func (a *app) auditList() *cobra.Command {
	var q store.EntryQuery
	var kind, since, until string
	cmd := &cobra.Command{Use: "ls", Short: "List entries, newest first; those of one session in the order of its story", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&q.Person, "person", "", "about this person, as actor or subject (`user` ID or e-mail address)")
	f.StringVar(&q.Session, "session", "", "about this session (`ID`)")
	f.StringVar(&q.Client, "client", "", "about this client (`ID`)")
	f.StringVar(&kind, "kind", "", "of this `kind`, such as impersonation.start")
	f.StringVar(&since, "since", "", "from this `time` on: RFC 3339, or a date in UTC")
	f.StringVar(&until, "until", "", "before this `time`: RFC 3339, or a date in UTC")
	f.IntVar(&q.Limit, "limit", 50, "at most so many, up to 1000")
	f.StringVar(&q.After, "after", "", "go on after the page that ended with this `cursor`")
	cmd.RunE = a.does(func(ctx context.Context, _ []string) (err error) {
		if err := errors.Join(checkKind(kind), checkLimit(q.Limit)); err != nil {
			return err
		}
		q.Kind = audit.Kind(kind)
		if q.Since, err = parseTime("since", since); err != nil {
			return err
		}
		if q.Until, err = parseTime("until", until); err != nil {
			return err
		}
		return a.withTrail(ctx, func(st store.Store, issuer string) error { return a.listEntries(ctx, st, issuer, q) })
	})
	return cmd
}

func checkKind(kind string) error {
	known := make([]string, 0, len(audit.Kinds()))
	for _, k := range audit.Kinds() {
		known = append(known, string(k))
	}
	if kind == "" || slices.Contains(known, kind) {
		return nil
	}
	hint := "kinds are " + strings.Join(known, ", ")
	if near := config.Near(kind, known); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return misuse{withHint(fmt.Errorf("--kind %q: there is no such kind", kind), hint)}
}

// parseTime reads a time or a date; "" is the zero time.
func parseTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, misuse{withHint(fmt.Errorf("--%s %q is not a time", flag, text), "such as 2026-08-01 or 2026-08-01T12:00:00Z")}
}

func (a *app) listEntries(ctx context.Context, st store.Store, issuer string, q store.EntryQuery) (err error) {
	who := newPeople(st)
	if q.Person, err = who.id(ctx, q.Person); err != nil {
		return err
	}
	page, next, err := st.Entries(ctx, q)
	if err != nil {
		return fmt.Errorf("listing entries: %w", err)
	}
	if q.Session != "" {
		slices.Reverse(page)
	}
	out := make([]entryOut, 0, len(page))
	t := table{header: []string{"TIME", "KIND", "ACTOR", "SUBJECT", "CLIENT", "SESSION", "WHY", "ID"}}
	for _, e := range page {
		o := entryJSON(e)
		out = append(out, o)
		actor, err1 := today(ctx, who, issuer, o.Actor)
		subject, err2 := today(ctx, who, issuer, o.Subject)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		t.add(o.Time, o.Kind, actor, subject, o.Client, o.Session, o.why(), o.ID)
	}
	if err := a.print(map[string]any{"entries": out, "next": next}, t); err != nil || a.output == outputJSON {
		return err
	}
	return a.printNext(next)
}

func (a *app) auditShow() *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show an entry whole, with its canonical bytes", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withTrail(ctx, func(st store.Store, _ string) error {
				e, err := st.Entry(ctx, args[0])
				if errors.Is(err, store.ErrNotFound) {
					return withHint(fmt.Errorf("there is no entry %q", args[0]), "understudy audit ls lists entries, with their IDs last")
				}
				if err != nil {
					return fmt.Errorf("entry %s: %w", args[0], err)
				}
				return a.showEntry(e)
			})
		})}
}

func (a *app) showEntry(e store.StoredEntry) error {
	o := entryJSON(e)
	o.Canonical, o.Opening = string(e.Canonical), e.Opening
	t := table{header: []string{"FIELD", "VALUE"}}
	for _, row := range [][]string{
		{"id", o.ID}, {"seq", fmt.Sprint(o.Seq)}, {"time", o.Time}, {"kind", o.Kind}, {"actor", o.Actor.full()}, {"subject", o.Subject.full()},
		{"client", o.Client}, {"session", o.Session}, {"request", o.Request}, {"policy", o.Policy},
	} {
		t.add(row...)
	}
	if audit.Kind(o.Kind) == audit.KindAction {
		t.add("did", o.action())
	}
	for _, name := range slices.Sorted(maps.Keys(o.Fields)) {
		t.add(name, o.Fields[name])
	}
	t.add("canonical", o.Canonical)
	t.add("opening", string(o.Opening))
	return a.print(o, t)
}

// entryOut is an entry as -o json has it. Names and addresses are those of the entry itself, not of today.
type entryOut struct {
	ID        string            `json:"id"`
	Seq       int64             `json:"seq"`
	Time      string            `json:"time"`
	Kind      string            `json:"kind"`
	Actor     party             `json:"actor,omitzero"`
	Subject   party             `json:"subject,omitzero"`
	Client    string            `json:"client_id,omitempty"`
	Session   string            `json:"session,omitempty"`
	Request   string            `json:"request,omitempty"`
	Policy    string            `json:"policy,omitempty"`
	Fields    map[string]string `json:"fields,omitempty"`
	Canonical string            `json:"canonical,omitempty"`
	Opening   json.RawMessage   `json:"opening,omitempty"`
}

// party is one side of an entry.
type party struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Email   string `json:"email,omitempty"`
	Name    string `json:"name,omitempty"`
}

// String is for a column: the address if the entry has it.
func (p party) String() string {
	switch {
	case p.Email != "":
		return p.Email
	case p.Issuer == "cli", p.Issuer == "scim":
		return p.Issuer + ":" + p.Subject
	}
	return p.Subject
}

// today is p for a column, with the address that the user has now if the entry has none. Only who is of the issuer is a user: the name of
// an operator or of a source may be somebody's ID.
func today(ctx context.Context, who *people, issuer string, p party) (string, error) {
	if p.Email != "" || p.Issuer != issuer {
		return p.String(), nil
	}
	found, err := who.get(ctx, p.Subject)
	return found.String(), err
}

// full is for a line.
func (p party) full() string {
	if p.Subject == "" {
		return ""
	}
	return fmt.Sprintf("%s %s at %s", p.String(), p.Subject, p.Issuer)
}

func entryJSON(s store.StoredEntry) entryOut {
	e := s.Entry
	return entryOut{
		ID: e.ID, Seq: s.Seq, Time: stamp(e.Time), Kind: string(e.Kind), Actor: side(e, e.Actor, "actor"), Subject: side(e, e.Subject, "subject"),
		Client: e.Client, Session: e.Session, Request: e.Request, Policy: e.Policy, Fields: e.Fields,
	}
}

func side(e audit.Entry, p oauth.Party, name string) party {
	return party{p.Issuer, p.Subject, e.Fields[name+"_email"], e.Fields[name+"_name"]}
}

// why is the rule that refused, or what somebody gave as a reason, or what an operator changed, or what was done.
func (e entryOut) why() string {
	if audit.Kind(e.Kind) == audit.KindAction {
		return e.action()
	}
	names := []string{"rule", "note", "reason", "action"}
	if kind := audit.Kind(e.Kind); kind == audit.KindUserAdd || kind == audit.KindUserRole {
		names = []string{"roles"} // other entries tell the roles of that day, which are not why
	}
	for _, name := range names {
		if v := e.Fields[name]; v != "" {
			if ticket := e.Fields["ticket_number"]; ticket != "" {
				v += " (" + ticket + ")"
			}
			return v
		}
	}
	return ""
}

// action is a request in a session, and how it went: "POST /account/delete refused: forbidden".
func (e entryOut) action() string {
	did := e.Fields["method"]
	if route := e.Fields["route"]; route != "" { // it may be erased
		did += " " + route
	}
	status, note := e.Fields["status"], e.Fields["note"]
	if status == "403" || status == "414" && note == "too_long" {
		status = "refused"
	}
	if status != "" {
		did += " " + status
	}
	if note != "" {
		did += ": " + note
	}
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		if detail, ok := strings.CutPrefix(name, "detail_"); ok {
			did += " " + detail + "=" + e.Fields[name]
		}
	}
	return did
}
