package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) clientCmd() *cobra.Command {
	return a.group("client", "Clients: relying apps and APIs", a.clientAdd(), a.clientSet(), a.clientList(), a.clientRemove())
}

func (a *app) clientAdd() *cobra.Command {
	n := admin.NewClient{Exchange: true}
	var noExchange, stdin bool
	var out, jwks string
	cmd := &cobra.Command{Use: "add --id ID --name NAME --redirect-uri URI", Short: "Register a client and print its secret, once", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&n.ID, "id", "", "client `ID`: 1 to 64 letters, digits, dots, dashes, underscores")
	f.StringVar(&n.Name, "name", "", "`name` for people")
	f.StringArrayVar(&n.RedirectURIs, "redirect-uri", nil, "where people come back to (`URI`); repeat for more")
	f.StringArrayVar(&n.Resources, "resource", nil, "registered `resource` it may ask for, the first is its default (default: all)")
	f.StringArrayVar(&n.Serves, "serves", nil, "registered `resource` that it is the server of, so that it may introspect")
	f.StringArrayVar(&n.Scopes, "scope", nil, "`scope` it may ask for; repeat for more (default: all but the never-list, and impersonate)")
	f.BoolVar(&n.Public, "public", false, "it can keep no secret; it cannot impersonate either")
	f.BoolVar(&noExchange, "no-exchange", false, "it may not impersonate")
	settingsFlags(cmd, &n.Settings, &jwks)
	f.StringVar(&out, "secret-file", "", "write the fresh secret to this new `file` (mode 0600) instead of printing it")
	f.BoolVar(&stdin, "secret-stdin", false, "take the secret from the first line of the standard input: at least 43 characters of base64url")
	cmd.MarkFlagRequired("id")
	cmd.MarkFlagRequired("name")
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		if err := oneCredential(f); err != nil {
			return err
		}
		n.Exchange = !noExchange && !n.Public
		var err error
		if n.Settings.Keys, err = readKeys(jwks); err != nil {
			return err
		}
		if stdin {
			s, err := firstLine(ctx, a.stdin, "secret")
			if err != nil {
				return err
			}
			n.Secret = oauth.Secret(s)
		}
		return a.withAdmin(ctx, true, func(ad *admin.Admin) error { return a.addClient(ctx, ad, n, out) })
	})
	return cmd
}

// oneCredential refuses flags that say different things about how the client proves who it is.
func oneCredential(f *pflag.FlagSet) error {
	var given []string
	for _, name := range []string{"public", "jwks", "secret-file", "secret-stdin"} {
		if f.Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) < 2 {
		return nil
	}
	return withHint(misuse{fmt.Errorf("%s do not go together", strings.Join(given, " and "))}, "a client has one secret, or keys, or is public and has neither")
}

func (a *app) addClient(ctx context.Context, ad *admin.Admin, n admin.NewClient, file string) error {
	if file != "" {
		// Before the client: a client whose secret nobody has would be there for good.
		n.Secret = oauth.NewSecret()
		if err := writeSecret(file, string(n.Secret)); err != nil {
			return fmt.Errorf("writing the secret: %w", err)
		}
	}
	given := n.Secret != ""
	secret, err := ad.AddClient(ctx, n)
	if invalid := new(admin.InvalidError); file != "" && (errors.As(err, &invalid) || errors.Is(err, store.ErrExists)) {
		// After any other error the client may be there all the same.
		err = errors.Join(err, os.Remove(file))
	}
	if errors.Is(err, store.ErrExists) {
		return withHint(fmt.Errorf("there is a client %q already, or there was", n.ID), "understudy client ls lists clients; the ID of a removed one is not free again")
	}
	if err != nil {
		return err
	}
	a.warnAlike(ctx, ad.Store, n.Settings.SubjectIssuer)
	if given || secret == "" {
		return a.say(map[string]string{"client_id": n.ID}, "added client %s", n.ID)
	}
	if a.output == outputJSON {
		return a.printJSON(map[string]string{"client_id": n.ID, "client_secret": string(secret)})
	}
	fmt.Fprintf(a.stderr, "added client %s; its secret is shown this once:\n", n.ID)
	_, err = fmt.Fprintln(a.stdout, string(secret))
	return err
}

func (a *app) clientList() *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "List clients", Args: cobra.NoArgs, RunE: a.does(func(ctx context.Context, _ []string) error {
		return a.withStore(ctx, func(st store.Store) error {
			clients, err := st.ListClients(ctx)
			if err != nil {
				return fmt.Errorf("listing clients: %w", err)
			}
			return a.printClients(clients)
		})
	})}
}

func (a *app) clientRemove() *cobra.Command {
	return &cobra.Command{Use: "rm ID", Short: "Remove a client and end its sessions; its ID is not free again", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
				err := ad.RemoveClient(ctx, args[0])
				if errors.Is(err, store.ErrNotFound) {
					return noClient(args[0])
				}
				if err != nil {
					return err
				}
				return a.say(map[string]string{"client_id": args[0]}, "removed client %s", args[0])
			})
		})}
}

// clientOut is a client as -o json has it.
type clientOut struct {
	ID           string   `json:"client_id"`
	Name         string   `json:"name"`
	Public       bool     `json:"public"`
	Exchange     bool     `json:"exchange"`
	RedirectURIs []string `json:"redirect_uris"`
	Resources    []string `json:"resources"`
	Serves       []string `json:"serves"`
	Scopes       []string `json:"scopes"`
	Created      string   `json:"created"`
	AuthMethod   string   `json:"auth_method"`
	Keys         []string `json:"jwk_thumbprints,omitempty"` // RFC 7638
	settingsOut
}

func (a *app) printClients(clients []store.Client) error {
	out := make([]clientOut, 0, len(clients))
	t := table{header: []string{"ID", "NAME", "MAY", "AUTHENTICATES BY", "SUBJECTS", "RESOURCES", "SERVES", "REDIRECT URIS"}}
	for _, c := range clients {
		out = append(out, clientOut{c.ID, c.Name, c.Public, c.Exchange, notNil(c.RedirectURIs), notNil(c.Resources), notNil(c.Serves), notNil(c.Scopes), stamp(c.Created),
			string(c.AuthMethod()), admin.Thumbprints(c.Settings), settingsOf(c.Settings)})
		t.add(c.ID, c.Name, may(c), string(c.AuthMethod()), cmp.Or(c.Settings.SubjectIssuer, local), strings.Join(c.Resources, " "), strings.Join(c.Serves, " "), strings.Join(c.RedirectURIs, " "))
	}
	return a.print(map[string]any{"clients": out}, t)
}

// may says in words what a client is for.
func may(c store.Client) string {
	switch {
	case c.Public:
		return "sign in (public)"
	case c.Exchange && c.Settings.Service != "":
		return "sign in, impersonate, act for itself"
	case c.Exchange:
		return "sign in, impersonate"
	case c.Settings.Service != "":
		return "sign in, act for itself"
	}
	return "sign in"
}
