package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) grantCmd() *cobra.Command {
	return a.group("grant", "Who may act for whom by consent: add, list, remove", a.grantAdd(), a.grantList(), a.grantRemove())
}

func (a *app) grantAdd() *cobra.Command {
	var n admin.NewConsent
	var mode, until string
	cmd := &cobra.Command{Use: "add --subject USER --actor ACTOR --client ID --scope SCOPE --until TIME --reason TEXT",
		Short: "Write down that somebody may act for a user", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&n.Subject, "subject", "", "for whom (`user` ID or e-mail address)")
	f.StringVar(&n.Actor, "actor", "", "who may act (`user` ID or e-mail address, or client:ID for the service or agent that the client is)")
	f.StringVar(&n.Client, "client", "", "at which client (`ID`)")
	f.StringArrayVar(&n.Scopes, "scope", nil, "`scope` that may be had at most; repeat for more")
	f.StringVar(&mode, "mode", string(oauth.ModeRead), "read or write")
	f.StringVar(&until, "until", "", "until when: a `time` as 2027-01-31T12:00:00Z, or a duration from now as 720h; at most 366 days")
	f.StringVar(&n.Reason, "reason", "", "why, 10 to 500 characters: the reason of every session that stands on it")
	for _, name := range []string{"subject", "actor", "client", "scope", "until", "reason"} {
		cmd.MarkFlagRequired(name)
	}
	cmd.RunE = a.does(func(ctx context.Context, _ []string) (err error) {
		n.Mode = oauth.Mode(mode)
		if n.Until, err = moment("until", until, time.Now()); err != nil {
			return err
		}
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error { return a.addGrant(ctx, ad, n) })
	})
	return cmd
}

// moment reads a time, or a duration from now, of the flag.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, misuse{fmt.Errorf("--%s: must be a time as 2027-01-31T12:00:00Z or a duration as 720h", flag)}
	}
	return t, nil
}

func (a *app) addGrant(ctx context.Context, ad *admin.Admin, n admin.NewConsent) error {
	var err1, err2 error
	n.Subject, err1 = partyID(ctx, ad.Store, n.Subject)
	n.Actor, err2 = partyID(ctx, ad.Store, n.Actor)
	if err := cmp.Or(err1, err2); err != nil {
		return err
	}
	c, err := ad.AddConsent(ctx, n)
	switch {
	case errors.Is(err, store.ErrExists):
		return withHint(fmt.Errorf("there is a grant of this subject at client %q already", n.Client),
			"understudy grant ls --all shows it, understudy grant rm takes it back")
	case errors.Is(err, store.ErrNotFound):
		return noClient(n.Client)
	case err != nil:
		return err
	}
	return a.say(map[string]string{"id": c.ID}, "added grant %s", c.ID)
}

// partyID is the ID of a user, who must be there; "" and a client's stay as they are.
func partyID(ctx context.Context, d directory.Directory, who string) (string, error) {
	if who == "" || strings.HasPrefix(who, oauth.ClientPrefix) {
		return who, nil
	}
	u, err := admin.FindUser(ctx, d, who)
	if errors.Is(err, directory.ErrNotFound) {
		err = withHint(fmt.Errorf("there is no user %q", who), "understudy user ls lists users; give an ID or an e-mail address")
	}
	return u.ID, err
}

func noClient(id string) error {
	return withHint(fmt.Errorf("there is no client %q", id), "understudy client ls lists clients")
}

// grantOut is a grant as -o json has it.
type grantOut struct {
	ID        string   `json:"id"`
	Subject   person   `json:"subject"`
	Actor     person   `json:"actor"`
	ActorKind string   `json:"actor_kind"`
	Client    string   `json:"client_id"`
	Scopes    []string `json:"scopes"`
	Mode      string   `json:"mode"`
	Reason    string   `json:"reason"`
	Until     string   `json:"until"`
	Created   string   `json:"created"`
	CreatedBy string   `json:"created_by"`
	Revoked   string   `json:"revoked,omitempty"`
	Counts    bool     `json:"counts"` // it has not ended, and the client could use it
}

func (a *app) grantList() *cobra.Command {
	var q store.ConsentQuery
	var all bool
	cmd := &cobra.Command{Use: "ls", Short: "List grants that count", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&all, "all", false, "also those that are over, were taken back, or are for what the client no longer is")
	f.StringVar(&q.Subject, "subject", "", "of this subject (`user` ID or e-mail address)")
	f.StringVar(&q.Actor, "actor", "", "to this actor (`user` ID or e-mail address, or client:ID)")
	f.StringVar(&q.Client, "client", "", "at this client (`ID`)")
	f.IntVar(&q.Limit, "limit", 50, "at most so many, up to 1000")
	f.StringVar(&q.After, "after", "", "go on after the page that ended with this `ID`")
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		if err := checkLimit(q.Limit); err != nil {
			return err
		}
		q.Live, q.Now = !all, time.Now().UTC()
		return a.withStore(ctx, func(st store.Store) error { return a.listGrants(ctx, st, q) })
	})
	return cmd
}

func (a *app) listGrants(ctx context.Context, st store.Store, q store.ConsentQuery) error {
	var err1, err2 error
	q.Subject, err1 = partyID(ctx, st, q.Subject)
	q.Actor, err2 = partyID(ctx, st, q.Actor)
	if err := cmp.Or(err1, err2); err != nil {
		return err
	}
	page, err1 := st.Consents(ctx, q)
	clients, err2 := st.ListClients(ctx)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("listing grants: %w", err)
	}
	who := newPeople(st)
	out := make([]grantOut, 0, len(page))
	t := table{header: []string{"GRANT", "SUBJECT", "ACTOR", "CLIENT", "MODE", "SCOPES", "UNTIL", "TAKEN BACK", "COUNTS", "WHY"}}
	for _, c := range page {
		o, err := grantJSON(ctx, who, c)
		if err != nil {
			return err
		}
		o.Counts = c.Lives(q.Now) && slices.ContainsFunc(clients, func(at store.Client) bool { return at.Honours(c) })
		if q.Live && !o.Counts {
			continue
		}
		out = append(out, o)
		t.add(o.ID, o.Subject.String(), o.Actor.String(), o.Client, o.Mode, strings.Join(o.Scopes, " "), o.Until, o.Revoked, yesNo(o.Counts), o.Reason)
	}
	next := ""
	if len(page) == q.Limit {
		next = page[len(page)-1].ID
	}
	if err := a.print(map[string]any{"grants": out, "next": next}, t); err != nil || a.output == outputJSON {
		return err
	}
	return a.printNext(next)
}

func grantJSON(ctx context.Context, who *people, c impersonation.Consent) (grantOut, error) {
	subject, err1 := who.get(ctx, c.Subject)
	actor, err2 := who.get(ctx, c.Actor)
	return grantOut{
		ID: c.ID, Subject: subject, Actor: actor, ActorKind: string(c.ActorKind), Client: c.Client, Scopes: notNil(c.Scopes), Mode: string(c.Mode),
		Reason: c.Reason, Until: stamp(c.Until), Created: stamp(c.Created), CreatedBy: c.CreatedBy, Revoked: stamp(c.Revoked),
	}, errors.Join(err1, err2)
}

func (a *app) grantRemove() *cobra.Command {
	var why string
	cmd := &cobra.Command{Use: "rm ID --reason TEXT", Short: "Take a grant back and end the sessions that stand on it", Args: cobra.ExactArgs(1)}
	cmd.Flags().StringVar(&why, "reason", "", "why, 1 to 500 characters, for the trail")
	cmd.MarkFlagRequired("reason")
	cmd.RunE = a.does(func(ctx context.Context, args []string) error {
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
			ended, err := ad.RemoveConsent(ctx, args[0], why)
			if errors.Is(err, store.ErrNotFound) {
				return withHint(fmt.Errorf("there is no grant %q that could be taken back", args[0]), "understudy grant ls lists grants")
			}
			if err != nil {
				return err
			}
			return a.sayEnded("took the grant back; ended", ended)
		})
	})
	return cmd
}
