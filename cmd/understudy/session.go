package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) sessionCmd() *cobra.Command {
	return a.group("session", "Impersonations: list, show, end, and the kill switch", a.sessionList(), a.sessionShow(), a.sessionEnd(), a.sessionKill(), a.sessionLift())
}

func (a *app) sessionList() *cobra.Command {
	var q store.SessionQuery
	var all bool
	cmd := &cobra.Command{Use: "ls", Short: "List live sessions, newest first, and the kill switches that are on", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&all, "all", false, "ended ones too")
	f.StringVar(&q.Actor, "actor", "", "of this actor (`user` ID or e-mail address)")
	f.StringVar(&q.Subject, "subject", "", "of this subject (`user` ID or e-mail address)")
	f.StringVar(&q.Client, "client", "", "of this client (`ID`)")
	f.IntVar(&q.Limit, "limit", 50, "at most so many, up to 1000")
	f.StringVar(&q.After, "after", "", "go on after the page that ended with this `cursor`")
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		if err := checkLimit(q.Limit); err != nil {
			return err
		}
		q.Live, q.Now = !all, time.Now().UTC()
		return a.withStore(ctx, func(st store.Store) error { return a.listSessions(ctx, st, q) })
	})
	return cmd
}

func (a *app) listSessions(ctx context.Context, st store.Store, q store.SessionQuery) error {
	who := newPeople(st)
	var err1, err2 error
	q.Actor, err1 = who.id(ctx, q.Actor)
	q.Subject, err2 = who.id(ctx, q.Subject)
	page, next, err3 := st.Sessions(ctx, q)
	kills, err4 := st.Kills(ctx)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("listing sessions: %w", err)
	}
	out := make([]sessionOut, 0, len(page))
	t := table{header: []string{"SESSION", "ACTOR", "SUBJECT", "CLIENT", "MODE", "STARTED", "EXPIRES", "ENDED", "WHY"}}
	for _, s := range page {
		o, err := sessionJSON(ctx, who, s)
		if err != nil {
			return err
		}
		out = append(out, o)
		t.add(o.ID, o.Actor.String(), o.Subject.String(), o.Client, o.Mode, o.Started, o.Expires, o.ended(), o.Reason)
	}
	for i := range kills {
		kills[i].At = kills[i].At.UTC().Truncate(time.Second) // as stamp gives all other times
	}
	if kills == nil {
		kills = []impersonation.Kill{}
	}
	if err := a.print(map[string]any{"sessions": out, "next": next, "kills": kills}, t); err != nil || a.output == outputJSON {
		return err
	}
	for _, k := range kills {
		what := strings.TrimSpace(string(k.Scope) + " " + k.ID)
		fmt.Fprintln(a.stdout, clean(fmt.Sprintf("killed since %s by %s: %s: %s", stamp(k.At), k.By, what, k.Reason)))
	}
	return a.printNext(next)
}

// printNext tells people how to go on; -o json has it as "next".
func (a *app) printNext(next string) error {
	if next == "" {
		return nil
	}
	_, err := fmt.Fprintln(a.stderr, "there are more: --after "+next)
	return err
}

// sessionOut is a session as -o json has it.
type sessionOut struct {
	ID           string   `json:"id"`
	Actor        person   `json:"actor"`
	Subject      person   `json:"subject"`
	Client       string   `json:"client_id"`
	Mode         string   `json:"mode"`
	Scope        []string `json:"scope"`
	Resource     string   `json:"resource"`
	Reason       string   `json:"reason"`
	TicketNumber string   `json:"ticket_number,omitempty"`
	Audit        string   `json:"txn"`
	Started      string   `json:"started"`
	Expires      string   `json:"expires"`
	LastActive   string   `json:"last_active"`
	Ended        string   `json:"ended,omitempty"`
	EndReason    string   `json:"end_reason,omitempty"`
	EndedBy      string   `json:"ended_by,omitempty"`
}

func (s sessionOut) ended() string {
	if s.Ended == "" {
		return ""
	}
	return s.Ended + " " + s.EndReason
}

func sessionJSON(ctx context.Context, who *people, s impersonation.Session) (sessionOut, error) {
	actor, err1 := who.get(ctx, s.Actor)
	subject, err2 := who.get(ctx, s.Subject)
	return sessionOut{
		ID: s.ID, Actor: actor, Subject: subject, Client: s.Client, Mode: string(s.Mode), Scope: notNil(s.Scope), Resource: s.Resource,
		Reason: s.Reason, TicketNumber: s.TicketNumber, Audit: s.Audit, Started: stamp(s.Started), Expires: stamp(s.Expires),
		LastActive: stamp(s.LastActive), Ended: stamp(s.Ended), EndReason: string(s.EndReason), EndedBy: s.EndedBy,
	}, errors.Join(err1, err2)
}

// reach is how far an end or a kill goes, as flags.
type reach struct {
	all                                  bool
	client, actor, subject, organisation string
	reason                               string
}

func (r *reach) register(cmd *cobra.Command, orArg bool) {
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&r.all, "all", false, "everywhere")
	f.StringVar(&r.client, "client", "", "at this client (`ID`)")
	f.StringVar(&r.actor, "actor", "", "by this actor (`user` ID or e-mail address)")
	f.StringVar(&r.subject, "subject", "", "of this subject (`user` ID or e-mail address)")
	f.StringVar(&r.organisation, "organisation", "", "of people of this `organisation`")
	f.StringVar(&r.reason, "reason", "", "why, for the trail")
	one := []string{"all", "client", "actor", "subject", "organisation"}
	cmd.MarkFlagsMutuallyExclusive(one...)
	if !orArg {
		cmd.MarkFlagsOneRequired(one...)
	}
	cmd.MarkFlagRequired("reason")
}

// scope is what the flags name.
func (r *reach) scope(ctx context.Context, ad *admin.Admin) (impersonation.EpochScope, string, error) {
	who := r.actor + r.subject
	if who != "" {
		u, err := ad.User(ctx, who)
		if err != nil {
			return "", "", err
		}
		who = u.ID
	}
	switch {
	case r.client != "":
		return impersonation.ScopeClient, r.client, nil
	case r.actor != "":
		return impersonation.ScopeActor, who, nil
	case r.subject != "":
		return impersonation.ScopeSubject, who, nil
	case r.organisation != "":
		return impersonation.ScopeOrganisation, r.organisation, nil
	case r.all:
		return impersonation.ScopeInstance, "", nil
	}
	return "", "", misuse{errors.New("an empty ID reaches nobody")}
}

func (a *app) sessionEnd() *cobra.Command {
	var r reach
	cmd := &cobra.Command{Use: "end [SESSION] --reason TEXT", Short: "End a session, or all that a flag names; new ones can start", Args: cobra.MaximumNArgs(1)}
	r.register(cmd, true)
	cmd.RunE = a.does(func(ctx context.Context, args []string) error {
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
			scope, id, err := r.endScope(ctx, ad, args)
			if err != nil {
				return err
			}
			ended, err := ad.EndSessions(ctx, scope, id, r.reason)
			if err != nil {
				return err
			}
			return a.sayEnded("ended", ended)
		})
	})
	return cmd
}

func (r *reach) endScope(ctx context.Context, ad *admin.Admin, args []string) (impersonation.EpochScope, string, error) {
	named := r.all || r.client+r.actor+r.subject+r.organisation != ""
	if named == (len(args) == 1) {
		return "", "", misuse{errors.New("name a session or give one of --all, --client, --actor, --subject, --organisation")}
	}
	if len(args) == 1 {
		return impersonation.ScopeSession, args[0], nil
	}
	return r.scope(ctx, ad)
}

func (a *app) sessionKill() *cobra.Command {
	var r reach
	cmd := &cobra.Command{Use: "kill --reason TEXT", Short: "The kill switch: end sessions and let none start until lift", Args: cobra.NoArgs}
	r.register(cmd, false)
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
			scope, id, err := r.scope(ctx, ad)
			if err != nil {
				return err
			}
			ended, err := ad.Kill(ctx, scope, id, r.reason)
			if err != nil {
				return err
			}
			return a.sayEnded("killed until lift; ended", ended)
		})
	})
	return cmd
}

func (a *app) sessionLift() *cobra.Command {
	var r reach
	cmd := &cobra.Command{Use: "lift --reason TEXT", Short: "Take a kill back; what it ended stays ended", Args: cobra.NoArgs}
	r.register(cmd, false)
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
			scope, id, err := r.scope(ctx, ad)
			if err != nil {
				return err
			}
			was, err := ad.Lift(ctx, scope, id, r.reason)
			if err != nil {
				return err
			}
			if !was {
				return withHint(errors.New("there is no such kill"), "understudy session ls lists the kill switches that are on")
			}
			return a.say(map[string]bool{"lifted": true}, "lifted")
		})
	})
	return cmd
}

func (a *app) sayEnded(did string, ended []impersonation.Ended) error {
	ids, plural := []string{}, "sessions"
	if len(ended) == 1 {
		plural = "session"
	}
	for _, e := range ended {
		ids = append(ids, e.Session.ID)
	}
	return a.say(map[string]any{"ended": ids}, "%s %d live %s", did, len(ids), plural)
}
