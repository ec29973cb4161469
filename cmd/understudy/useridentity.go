package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) userShow() *cobra.Command {
	return &cobra.Command{Use: "show USER", Short: "Show all of a user: who they are at other issuers, and who keeps them", Args: cobra.ExactArgs(1),
		RunE: a.onUser(func(ctx context.Context, ad *admin.Admin, u directory.User) error {
			o, err := withLock(ctx, ad.Store, u)
			if err != nil {
				return err
			}
			if a.output == outputJSON {
				return a.printJSON(o)
			}
			return a.printLines(o.lines())
		})}
}

// lines are what show prints.
func (u userOut) lines() [][2]string {
	out := [][2]string{{"id", u.ID}, {"email", u.Email}, {"name", u.Name}, {"organisation", u.Organisation},
		{"roles", strings.Join(u.Roles, ", ")}, {"groups", strings.Join(u.Groups, ", ")}}
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		out = append(out, [2]string{"attr." + name, u.Attributes[name]})
	}
	for _, p := range u.Identities {
		out = append(out, [2]string{"identity", p.Issuer + " " + p.Subject})
	}
	return append(out, [2]string{"source", u.Source}, [2]string{"user name", u.UserName}, [2]string{"external id", u.ExternalID},
		[2]string{"state", u.state()}, [2]string{"created", u.Created}, [2]string{"last sign-in", u.LastSignIn})
}

func (a *app) userLink() *cobra.Command {
	var p oauth.Party
	cmd := &cobra.Command{Use: "link USER --issuer URL --subject SUB", Short: "Say who a user is at another issuer", Args: cobra.ExactArgs(1),
		Long: "Say who a user is at another issuer. Whoever its tokens call SUB is this user here from then on: they sign in so, and act so.\n\n" +
			"URL and SUB are the iss and sub of its tokens, compared byte by byte. An identity is one user's, and a user has at most one\nat each issuer. Nothing ends."}
	f := cmd.Flags()
	f.SortFlags = false
	issuerFlag(cmd, &p.Issuer)
	f.StringVar(&p.Subject, "subject", "", "their `sub` there")
	cmd.MarkFlagRequired("subject") // the flag is there
	cmd.RunE = a.onUser(func(ctx context.Context, ad *admin.Admin, u directory.User) error {
		u, err := ad.Link(ctx, u.ID, p)
		if err != nil {
			return a.takenIdentity(ctx, ad, p, err)
		}
		for _, other := range u.Identities {
			if config.Alike(other.Issuer, p.Issuer) {
				fmt.Fprintf(a.stderr, "warning: %s is %s at %s too: it and %s are two issuers, and tokens have one of them\n", u.Email, clean(other.Subject), other.Issuer, p.Issuer)
			}
		}
		a.warnAlike(ctx, ad.Store, p.Issuer)
		return a.say(userJSON(u), "%s is %s at %s", u.Email, p.Subject, p.Issuer)
	})
	return cmd
}

// takenIdentity says who has the identity, where that is why err came.
func (a *app) takenIdentity(ctx context.Context, ad *admin.Admin, p oauth.Party, err error) error {
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	holder, lookErr := ad.Store.ByIdentity(ctx, p)
	if lookErr != nil { // let go of meanwhile
		return err
	}
	return withHint(fmt.Errorf("the identity is that of %s (%s)", holder.Email, holder.ID),
		fmt.Sprintf("understudy user unlink %s --issuer %s takes it from them", holder.ID, p.Issuer))
}

func issuerFlag(cmd *cobra.Command, issuer *string) {
	cmd.Flags().StringVar(issuer, "issuer", "", "the other issuer's `URL`, as its tokens have it in iss")
	cmd.MarkFlagRequired("issuer") // the flag is there
}

func (a *app) userUnlink() *cobra.Command {
	var issuer string
	cmd := &cobra.Command{Use: "unlink USER --issuer URL", Short: "Take a user's identity at another issuer away; ends their logins and impersonations", Args: cobra.ExactArgs(1)}
	issuerFlag(cmd, &issuer)
	cmd.RunE = a.onUser(func(ctx context.Context, ad *admin.Admin, u directory.User) error {
		u, err := ad.Unlink(ctx, u.ID, issuer)
		if err != nil {
			return err
		}
		return a.say(userJSON(u), "%s is nobody at %s now; their logins and impersonations ended", u.Email, issuer)
	})
	return cmd
}

func (a *app) userRemove() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "rm USER", Short: "Remove a user for good; ends their logins and impersonations", Args: cobra.ExactArgs(1),
		Long: "Remove a user for good, with password, second factor, identities and consents. Their logins and tokens end, and the impersonations\n" +
			"in which they are actor or subject. The trail keeps what was done. Their ID is never given again, their address is free.\n\n" +
			"Nothing is kept by which they could be barred: the provider that sends them by SCIM, or signs them in where create_users is set, may\n" +
			"add them again, as somebody new. understudy user disable keeps somebody out."}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = a.onUser(func(ctx context.Context, ad *admin.Admin, u directory.User) error {
		a.tellBack(u)
		if !yes {
			if err := a.confirm(ctx, fmt.Sprintf("Remove %s, %s (%s)? Type yes: ", clean(u.Name), u.Email, u.ID)); err != nil {
				return err
			}
		}
		u, err := ad.DeleteUser(ctx, u.ID)
		if err != nil {
			return err
		}
		return a.say(map[string]any{"id": u.ID, "email": u.Email, "removed": true}, "removed %s (%s); their logins and impersonations ended", u.Email, u.ID)
	})
	return cmd
}

// tellBack says who may add u again.
func (a *app) tellBack(u directory.User) {
	who := make([]string, 0, 1+len(u.Identities))
	if u.Source != "" {
		who = append(who, clean(u.Source))
	}
	for _, p := range u.Identities {
		who = append(who, clean(p.Issuer))
	}
	if len(who) > 0 {
		fmt.Fprintf(a.stderr, "hint: %s may add them again; to keep them out, disable them instead\n", strings.Join(who, " or "))
	}
}

// confirm asks at a terminal, and takes nothing but yes for an answer.
func (a *app) confirm(ctx context.Context, question string) error {
	if !isTerminal(a.stdin) {
		return withHint(errors.New("nobody is there to be asked"), "nothing was changed: --yes does it without asking")
	}
	answer, err := a.ask(ctx, bufio.NewReader(a.stdin), question)
	if err == nil && answer != "yes" {
		err = withHint(errors.New("not removed"), "nothing was changed")
	}
	return err
}
