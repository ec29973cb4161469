package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) userCmd() *cobra.Command {
	return a.group("user", "Users: add, find, credentials, rights",
		a.userAdd(), a.userImport(), a.userPasswd(), a.userTOTP(), a.userRole(), a.userList(), a.userFind(), a.userShow(), a.userLink(), a.userUnlink(), a.userRemove(),
		a.userSwitch("disable", "Keep a user out; ends their logins, impersonations and consents", disableHelp, "disabled", (*admin.Admin).Disable),
		a.userSwitch("enable", "Let a disabled or locked-out user in again", enableHelp, "enabled", (*admin.Admin).Enable))
}

func (a *app) userAdd() *cobra.Command {
	var n admin.NewUser
	var pw secretFlags
	cmd := &cobra.Command{Use: "add --email ADDRESS --name NAME", Short: "Add a user", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&n.Email, "email", "", "e-mail `address`, to sign in with")
	f.StringVar(&n.Name, "name", "", "full `name`")
	f.StringVar(&n.Organisation, "organisation", "", "`organisation`; none for the operator's own staff")
	f.StringArrayVar(&n.Roles, "role", nil, "registered `role`; repeat for more")
	f.StringArrayVar(&n.Groups, "group", nil, "`group`; repeat for more")
	f.BoolVar(&n.Protected, "protected", false, "nobody may impersonate this user")
	f.StringVar(&n.ID, "id", "", "`ID` that never changes (default: a fresh one)")
	pw.register(cmd, "password")
	cmd.MarkFlagRequired("email")
	cmd.MarkFlagRequired("name")
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		password := ""
		if pw.given() {
			var err error
			if password, err = pw.read(ctx, a.stdin); err != nil {
				return err
			}
			if err := admin.CheckPassword(password, n.Email); err != nil {
				return err
			}
		}
		return a.withAdmin(ctx, true, func(ad *admin.Admin) error { return a.addUser(ctx, ad, n, password) })
	})
	return cmd
}

func (a *app) addUser(ctx context.Context, ad *admin.Admin, n admin.NewUser, password string) error {
	u, err := ad.AddUser(ctx, n)
	if err != nil {
		return err
	}
	if password == "" {
		return a.say(userJSON(u), "added %s (%s); understudy user passwd sets a password", u.Email, u.ID)
	}
	if err := ad.SetPassword(ctx, u.ID, password); err != nil {
		return err
	}
	return a.say(userJSON(u), "added %s (%s)", u.Email, u.ID)
}

// onUser runs f for the one user that the first argument names.
func (a *app) onUser(f func(context.Context, *admin.Admin, directory.User) error) func(*cobra.Command, []string) error {
	return a.does(func(ctx context.Context, args []string) error {
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
			u, err := ad.User(ctx, args[0])
			if err != nil {
				return err
			}
			return f(ctx, ad, u)
		})
	})
}

func (a *app) userPasswd() *cobra.Command {
	var pw secretFlags
	cmd := &cobra.Command{Use: "passwd USER", Short: "Set a password; ends the user's logins, and a lock-out", Args: cobra.ExactArgs(1)}
	pw.register(cmd, "password")
	cmd.RunE = a.onUser(func(ctx context.Context, ad *admin.Admin, u directory.User) error {
		password, err := a.newPassword(ctx, pw)
		if err != nil {
			return err
		}
		if err := ad.SetPassword(ctx, u.ID, password); err != nil {
			return err
		}
		return a.say(userJSON(u), "set the password of %s and ended their logins", u.Email)
	})
	return cmd
}

func (a *app) newPassword(ctx context.Context, pw secretFlags) (string, error) {
	if pw.given() {
		return pw.read(ctx, a.stdin)
	}
	return a.prompt(ctx, "password")
}

func (a *app) userTOTP() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{Use: "totp USER", Short: "Enrol or remove a second factor (RFC 6238)", Args: cobra.ExactArgs(1),
		Long: "Enrol a second factor (RFC 6238) and print its secret, once. A user who has one already gets a fresh secret in its place,\n" +
			"and their logins end. Users can enrol by themselves: the server's page /sign-in/second-factor."}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove it; ends the user's logins")
	cmd.RunE = a.onUser(func(ctx context.Context, ad *admin.Admin, u directory.User) error {
		if remove {
			return a.removeTOTP(ctx, ad, u)
		}
		return a.enrolTOTP(ctx, ad, u)
	})
	return cmd
}

func (a *app) removeTOTP(ctx context.Context, ad *admin.Admin, u directory.User) error {
	was, err := ad.RemoveTOTP(ctx, u.ID)
	if err != nil {
		return err
	}
	if !was {
		return withHint(fmt.Errorf("%s has no second factor", u.Email), "understudy user ls shows who has one: totp")
	}
	return a.say(map[string]any{"id": u.ID, "email": u.Email, "removed": true}, "removed the second factor of %s and ended their logins", u.Email)
}

func (a *app) enrolTOTP(ctx context.Context, ad *admin.Admin, u directory.User) error {
	secret, url, err := ad.EnrolTOTP(ctx, u.ID)
	if err != nil {
		return err
	}
	if a.output == outputJSON {
		return a.printJSON(map[string]any{"id": u.ID, "email": u.Email, "secret": string(secret), "url": url, "replaced": u.SecondFactor})
	}
	if u.SecondFactor {
		fmt.Fprintf(a.stderr, "%s had a second factor: its secret is of no use now, and their logins ended\n", u.Email)
	}
	_, err = fmt.Fprintf(a.stdout, "secret  %s\nurl     %s\n", string(secret), url)
	return err
}

func (a *app) userRole() *cobra.Command {
	var r admin.Rights
	var roles, groups []string
	var organisation string
	var protected bool
	cmd := &cobra.Command{Use: "role USER", Short: "Change roles, groups, organisation or protection; ends the user's impersonations", Args: cobra.ExactArgs(1)}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&r.AddRoles, "add", nil, "give a registered `role`; repeat for more")
	f.StringArrayVar(&r.RemoveRoles, "remove", nil, "take a `role`; repeat for more")
	f.StringSliceVar(&roles, "set", nil, "replace all `roles`, with commas between; empty for none")
	f.StringSliceVar(&groups, "groups", nil, "replace all `groups`, with commas between; empty for none")
	f.StringVar(&organisation, "organisation", "", "move to this `organisation`; empty for the operator's own staff")
	f.BoolVar(&protected, "protected", false, "nobody may impersonate this user; --protected=false takes it back")
	cmd.MarkFlagsOneRequired("add", "remove", "set", "groups", "organisation", "protected")
	cmd.RunE = a.onUser(func(ctx context.Context, ad *admin.Admin, u directory.User) error {
		given(f.Changed("set"), &r.SetRoles, &roles)
		given(f.Changed("groups"), &r.SetGroups, &groups)
		given(f.Changed("organisation"), &r.Organisation, &organisation)
		given(f.Changed("protected"), &r.Protected, &protected)
		u, err := ad.SetRights(ctx, u.ID, r)
		if err != nil {
			return err
		}
		if r.Organisation != nil {
			a.tellKept(u, "their organisation is")
		}
		return a.say(userJSON(u), "%s: roles %s, groups %s, organisation %s, protected %t",
			u.Email, orNone(u.Roles...), orNone(u.Groups...), orNone(u.Organisation), u.Protected)
	})
	return cmd
}

// given points to at from if a flag was set.
func given[T any](set bool, to **T, from *T) {
	if set {
		*to = from
	}
}

func orNone(list ...string) string {
	if s := strings.Join(list, ", "); s != "" {
		return s
	}
	return "none"
}

const (
	disableHelp = "Keep a user out. Their logins and tokens end, the impersonations in which they are actor or subject, and their consents.\n\n" +
		"Only understudy user enable lets them in again: neither a source of SCIM that keeps them nor a sign-in does, also where the source had\n" +
		"disabled them before. Nor does the source delete them."
	enableHelp = "Let a user in again, whoever disabled them, and end a lock-out after too many failed sign-ins."
)

func (a *app) userSwitch(use, short, long, done string, act func(*admin.Admin, context.Context, string) (directory.User, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use + " USER", Short: short, Long: long, Args: cobra.ExactArgs(1)}
	cmd.RunE = a.onUser(func(ctx context.Context, ad *admin.Admin, u directory.User) error {
		u, err := act(ad, ctx, u.ID)
		if err != nil {
			return err
		}
		if u.Enabled {
			a.tellKept(u, "whether they are enabled is")
		}
		return a.say(userJSON(u), "%s is %s", u.Email, done)
	})
	return cmd
}

// tellKept says who else decides on what was changed of u, if anybody does. Roles and protection are the operator's alone.
func (a *app) tellKept(u directory.User, what string) {
	if strings.HasPrefix(u.Source, store.SourceSCIM) {
		fmt.Fprintf(a.stderr, "hint: %s is kept by %s: %s what it says when it next sends them\n", u.Email, clean(u.Source), what)
	}
}

func (a *app) userList() *cobra.Command {
	var q directory.Query
	cmd := &cobra.Command{Use: "ls", Short: "List users by name", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&q.Organisation, "organisation", "", "of this `organisation` only; empty for the operator's own staff")
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		q.AnyOrganisation = !cmd.Flags().Changed("organisation")
		return a.listUsers(ctx, q)
	})
	return cmd
}

func (a *app) userFind() *cobra.Command {
	return &cobra.Command{Use: "find TEXT", Short: "Find users by a part of name or e-mail address, or by ID", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.listUsers(ctx, directory.Query{AnyOrganisation: true, Text: args[0]})
		})}
}

func (a *app) listUsers(ctx context.Context, q directory.Query) error {
	return a.withStore(ctx, func(st store.Store) error {
		users, err := allPages(func(after string) ([]directory.User, string, error) {
			q.After, q.Limit = after, 200 // the most that a page can have
			return st.Search(ctx, q)
		})
		if err != nil {
			return fmt.Errorf("listing users: %w", err)
		}
		return a.printUsers(ctx, st, users)
	})
}

// allPages collects every page.
func allPages[T any](page func(after string) ([]T, string, error)) ([]T, error) {
	var all []T
	for after := ""; ; {
		part, next, err := page(after)
		if err != nil {
			return nil, err
		}
		if all = append(all, part...); next == "" {
			return all, nil
		}
		after = next
	}
}

func (a *app) printUsers(ctx context.Context, st store.Store, users []directory.User) error {
	out := make([]userOut, 0, len(users))
	t := table{header: []string{"ID", "EMAIL", "NAME", "ORGANISATION", "ROLES", "STATE", "LAST SIGN-IN"}}
	for _, u := range users {
		o, err := withLock(ctx, st, u)
		if err != nil {
			return err
		}
		out = append(out, o)
		t.add(u.ID, u.Email, u.Name, u.Organisation, strings.Join(u.Roles, ","), o.state(), stamp(u.LastSignIn))
	}
	return a.print(map[string]any{"users": out}, t)
}

// withLock is userJSON with the lock-out after failed sign-ins.
func withLock(ctx context.Context, st store.Store, u directory.User) (userOut, error) {
	attempt, err := st.Attempt(ctx, store.AttemptKey(u.Email), time.Now())
	if err != nil {
		return userOut{}, fmt.Errorf("reading failed sign-ins: %w", err)
	}
	o := userJSON(u)
	o.LockedUntil = stamp(attempt.Locked)
	return o, nil
}

// state is what keeps a user from something, and what they have enrolled.
func (u userOut) state() string {
	var out []string
	switch {
	case u.DisabledBy != "":
		out = append(out, "disabled by "+u.DisabledBy)
	case !u.Enabled:
		out = append(out, "disabled")
	}
	if u.Protected {
		out = append(out, "protected")
	}
	if u.SecondFactor {
		out = append(out, "totp")
	}
	if u.LockedUntil != "" {
		out = append(out, "locked until "+u.LockedUntil)
	}
	return strings.Join(out, ",")
}

// userOut is a user as -o json has them.
type userOut struct {
	ID           string            `json:"id"`
	Email        string            `json:"email"`
	Name         string            `json:"name"`
	Organisation string            `json:"organisation"`
	Roles        []string          `json:"roles"`
	Groups       []string          `json:"groups"`
	Attributes   map[string]string `json:"attributes,omitempty"`
	Identities   []party           `json:"identities"`
	Source       string            `json:"source,omitempty"`
	UserName     string            `json:"user_name,omitempty"`
	ExternalID   string            `json:"external_id,omitempty"`
	Enabled      bool              `json:"enabled"`
	DisabledBy   string            `json:"disabled_by,omitempty"`
	Protected    bool              `json:"protected"`
	SecondFactor bool              `json:"second_factor"`
	Created      string            `json:"created"`
	LastSignIn   string            `json:"last_sign_in"`
	LockedUntil  string            `json:"locked_until,omitempty"` // of ls, find and show
}

func userJSON(u directory.User) userOut {
	identities := make([]party, len(u.Identities))
	for i, p := range u.Identities {
		identities[i] = party{Issuer: p.Issuer, Subject: p.Subject}
	}
	return userOut{
		ID: u.ID, Email: u.Email, Name: u.Name, Organisation: u.Organisation, Roles: notNil(u.Roles), Groups: notNil(u.Groups),
		Attributes: u.Attributes, Identities: identities, Source: u.Source, UserName: u.UserName, ExternalID: u.ExternalID,
		Enabled: u.Enabled, DisabledBy: u.DisabledBy, Protected: u.Protected, SecondFactor: u.SecondFactor, Created: stamp(u.Created), LastSignIn: stamp(u.LastSignIn),
	}
}

// notNil makes an empty list [] in JSON, not null.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
