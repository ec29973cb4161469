package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) scimCmd() *cobra.Command {
	return a.group("scim", "Who provisions users by SCIM (RFC 7644): sources and their tokens",
		a.scimAdd(), a.scimList(), a.scimShow(), a.scimSet(), a.scimRemove(), a.scimTokenCmd())
}

// sourceFlags are the settings of a source, which add and set share.
func sourceFlags(cmd *cobra.Command, s *admin.SourceSettings) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&s.Organisation, "organisation", "", "`organisation` of all its users, whatever it sends")
	f.StringVar(&s.OrganisationAttribute, "organisation-attribute", "", "the SCIM `attribute` that tells the organisation, such as urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization")
	f.StringVar(&s.Issuer, "issuer", "", "the `URL` of the issuer at which externalId is the sub: its users sign in from there as who they are here")
	f.BoolVar(&s.MayGrant, "may-grant", false, "it may fill groups that confer a role")
	f.BoolVar(&s.MayStaff, "may-staff", false, "its users may have no organisation, and so be the operator's own staff")
}

func (a *app) scimAdd() *cobra.Command {
	var s admin.SourceSettings
	cmd := &cobra.Command{Use: "add NAME", Short: "Add a source; understudy scim token add then lets it in", Args: cobra.ExactArgs(1),
		Long: "Add a source of users and groups, which it keeps by SCIM at /scim/v2/ of the server. It sees and changes only its own.\n\n" +
			"One that was removed comes back with the users and groups that it left. understudy scim token add lets it in."}
	sourceFlags(cmd, &s)
	cmd.RunE = a.does(func(ctx context.Context, args []string) error {
		return a.withAdmin(ctx, true, func(ad *admin.Admin) error {
			source, err := ad.AddSource(ctx, args[0], s)
			if errors.Is(err, store.ErrExists) {
				return withHint(fmt.Errorf("there is a source %q already", args[0]), "understudy scim set changes it")
			}
			if err != nil {
				return err
			}
			a.warnAlike(ctx, ad.Store, source.Issuer)
			return a.say(sourceJSON(source), "added source %s; understudy scim token add %s lets it in", source.Name, source.Name)
		})
	})
	return cmd
}

func (a *app) scimSet() *cobra.Command {
	var to admin.SourceSettings
	cmd := &cobra.Command{Use: "set NAME", Short: "Change a source; users change when it next sends them", Args: cobra.ExactArgs(1),
		Long: "Change a source. What it may do is other at once; its users are what they were until it next sends them.\nA flag's empty value takes a setting away."}
	sourceFlags(cmd, &to)
	cmd.MarkFlagsOneRequired("organisation", "organisation-attribute", "issuer", "may-grant", "may-staff")
	cmd.RunE = a.does(func(ctx context.Context, args []string) error {
		set := cmd.Flags().Changed
		change := func(s *admin.SourceSettings) {
			put(set("organisation"), &s.Organisation, to.Organisation)
			put(set("organisation-attribute"), &s.OrganisationAttribute, to.OrganisationAttribute)
			put(set("issuer"), &s.Issuer, to.Issuer)
			put(set("may-grant"), &s.MayGrant, to.MayGrant)
			put(set("may-staff"), &s.MayStaff, to.MayStaff)
		}
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
			source, err := ad.ChangeSource(ctx, args[0], change)
			if err != nil {
				return noSource(args[0], err)
			}
			a.warnAlike(ctx, ad.Store, source.Issuer)
			return a.say(sourceJSON(source), "changed source %s", source.Name)
		})
	})
	return cmd
}

func put[T any](set bool, to *T, from T) {
	if set {
		*to = from
	}
}

func (a *app) scimRemove() *cobra.Command {
	var disable, yes bool
	cmd := &cobra.Command{Use: "rm NAME", Short: "Remove a source: its tokens end, its users stay", Args: cobra.ExactArgs(1),
		Long: "Remove a source. Its tokens end at once and for good. Its users and groups stay as they are, with their logins and impersonations:\n" +
			"nobody sends them any more. Whom it had disabled stays so: understudy user enable lets them in. --disable-users disables the\n" +
			"others one after another, which ends all that; after an interruption the same command goes on."}
	cmd.Flags().BoolVar(&disable, "disable-users", false, "also disable all of its users, and end what they are in")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask, with --disable-users")
	cmd.RunE = a.does(func(ctx context.Context, args []string) error {
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
			if disable && !yes {
				if err := a.confirmDisabling(ctx, ad.Store, args[0]); err != nil {
					return err
				}
			}
			return a.removeSource(ctx, ad, args[0], disable)
		})
	})
	return cmd
}

// confirmDisabling asks with the number of those who will be out.
func (a *app) confirmDisabling(ctx context.Context, st store.Store, name string) error {
	s, err := st.Source(ctx, name)
	if err != nil {
		return noSource(name, err)
	}
	active := true
	_, n, err := st.UsersOf(ctx, store.UserQuery{Source: s.ID(), Active: &active})
	if err != nil {
		return fmt.Errorf("counting users of source %s: %w", name, err)
	}
	return a.confirm(ctx, fmt.Sprintf("Remove source %s and disable %s? Type yes: ", name, users(n)))
}

func (a *app) removeSource(ctx context.Context, ad *admin.Admin, name string, disable bool) error {
	err := ad.RemoveSource(ctx, name)
	if err != nil && !(disable && errors.Is(err, store.ErrNotFound)) { // one that was removed may have users to disable
		return noSource(name, err)
	}
	out := map[string]any{"name": name, "removed": true}
	if !disable {
		return a.say(out, "removed source %s; its users and groups stay as they are", name)
	}
	p := a.newProgress()
	n, err := ad.DisableUsersOf(ctx, name, func(done, of int) { p.show("disabling", "users", int64(done), int64(of)) })
	p.end()
	if err != nil {
		return noSource(name, err)
	}
	out["disabled"] = n
	return a.say(out, "removed source %s and disabled %s; their logins and impersonations ended", name, users(n))
}

// noSource says which source there is none of.
func noSource(name string, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return withHint(fmt.Errorf("there is no source %q", name), "understudy scim ls lists sources")
}

func (a *app) scimList() *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "List sources", Args: cobra.NoArgs, RunE: a.does(func(ctx context.Context, _ []string) error {
		return a.withStore(ctx, func(st store.Store) error {
			all, err := st.Sources(ctx)
			if err != nil {
				return fmt.Errorf("listing sources: %w", err)
			}
			out := make([]sourceOut, 0, len(all))
			t := table{header: []string{"NAME", "ORGANISATION", "ISSUER", "MAY", "USERS", "GROUPS"}}
			for _, s := range all {
				o, err := withCounts(ctx, st, s)
				if err != nil {
					return err
				}
				out = append(out, o)
				t.add(s.Name, o.organisation(), s.Issuer, o.may(), fmt.Sprint(*o.Users), fmt.Sprint(*o.Groups))
			}
			return a.print(map[string]any{"sources": out}, t)
		})
	})}
}

func (a *app) scimShow() *cobra.Command {
	return &cobra.Command{Use: "show NAME", Short: "Show a source, with how many users and groups it keeps", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
				s, err := ad.Source(ctx, args[0])
				if err != nil {
					return noSource(args[0], err)
				}
				o, err := withCounts(ctx, ad.Store, s)
				if err != nil {
					return err
				}
				if a.output == outputJSON {
					return a.printJSON(o)
				}
				return a.printLines([][2]string{{"name", s.Name}, {"organisation", o.organisation()}, {"issuer", s.Issuer}, {"may", o.may()},
					{"users", fmt.Sprint(*o.Users)}, {"groups", fmt.Sprint(*o.Groups)}, {"created", o.Created}, {"changed", o.Updated}})
			})
		})}
}

// sourceOut is a source as -o json has it.
type sourceOut struct {
	Name                  string `json:"name"`
	Organisation          string `json:"organisation"`
	OrganisationAttribute string `json:"organisation_attribute"`
	Issuer                string `json:"issuer"`
	MayGrant              bool   `json:"may_grant"`
	MayStaff              bool   `json:"may_staff"`
	Created               string `json:"created"`
	Updated               string `json:"updated"`
	Users                 *int   `json:"users,omitempty"` // of ls and show, like Groups
	Groups                *int   `json:"groups,omitempty"`
}

func sourceJSON(s store.Source) sourceOut {
	return sourceOut{Name: s.Name, Organisation: s.Organisation, OrganisationAttribute: s.OrganisationAttribute, Issuer: s.Issuer,
		MayGrant: s.MayGrant, MayStaff: s.MayStaff, Created: stamp(s.Created), Updated: stamp(s.Updated)}
}

// withCounts is sourceJSON with how much the source keeps.
func withCounts(ctx context.Context, st store.Store, s store.Source) (sourceOut, error) {
	_, users, err1 := st.UsersOf(ctx, store.UserQuery{Source: s.ID()})
	_, groups, err2 := st.GroupsOf(ctx, store.GroupQuery{Source: s.ID()})
	if err := errors.Join(err1, err2); err != nil {
		return sourceOut{}, fmt.Errorf("counting what source %s keeps: %w", s.Name, err)
	}
	o := sourceJSON(s)
	o.Users, o.Groups = &users, &groups
	return o, nil
}

func (o sourceOut) organisation() string {
	if o.OrganisationAttribute != "" {
		return "by " + o.OrganisationAttribute
	}
	return o.Organisation
}

// may says in words what a source may do beside its own.
func (o sourceOut) may() string {
	var out []string
	if o.MayGrant {
		out = append(out, "grant")
	}
	if o.MayStaff {
		out = append(out, "staff")
	}
	return strings.Join(out, ", ")
}
