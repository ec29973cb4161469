package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/store"
)

func (a *app) scimTokenCmd() *cobra.Command {
	return a.group("token", "Bearer tokens of a source: add, list, revoke", a.scimTokenAdd(), a.scimTokenList(), a.scimTokenRevoke())
}

func (a *app) scimTokenAdd() *cobra.Command {
	var expires, file string
	cmd := &cobra.Command{Use: "add NAME", Short: "Give a source one more token and print it, once", Args: cobra.ExactArgs(1),
		Long: "Give a source one more bearer token and print it, once. To change a token, add the new one, give it to the source, and\nrevoke the old one: both count meanwhile."}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&expires, "expires", "", "until when: a `time` as 2027-01-31T12:00:00Z, or a duration from now as 8760h (default: for ever)")
	f.StringVar(&file, "secret-file", "", "write the token to this new `file` (mode 0600) instead of printing it")
	cmd.RunE = a.does(func(ctx context.Context, args []string) (err error) {
		var until time.Time
		if expires != "" {
			if until, err = moment("expires", expires, time.Now()); err != nil {
				return err
			}
		}
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error { return a.addSourceToken(ctx, ad, args[0], until, file) })
	})
	return cmd
}

func (a *app) addSourceToken(ctx context.Context, ad *admin.Admin, source string, until time.Time, file string) error {
	if _, err := os.Lstat(file); file != "" && err == nil {
		return fmt.Errorf("writing the token: %s: %w", file, os.ErrExist) // before there is a token that nobody has
	}
	secret, t, err := ad.AddSourceToken(ctx, source, until)
	if err != nil {
		return noSource(source, err)
	}
	if file != "" {
		if err := writeSecret(file, string(secret)); err != nil {
			return errors.Join(fmt.Errorf("writing the token: %w", err), ad.RevokeSourceToken(context.WithoutCancel(ctx), source, t.ID))
		}
		return a.say(tokenJSON(t), "added token %s of source %s", t.ID, source)
	}
	if a.output == outputJSON {
		o := tokenJSON(t)
		o.Token = string(secret)
		return a.printJSON(o)
	}
	fmt.Fprintf(a.stderr, "added token %s of source %s; it is shown this once:\n", t.ID, source)
	_, err = fmt.Fprintln(a.stdout, string(secret))
	return err
}

func (a *app) scimTokenList() *cobra.Command {
	return &cobra.Command{Use: "ls NAME", Short: "List the tokens of a source, also those that count no more", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withStore(ctx, func(st store.Store) error {
				_, err := st.Source(ctx, args[0])
				if err != nil {
					return noSource(args[0], err)
				}
				all, err := st.SourceTokens(ctx, args[0])
				if err != nil {
					return fmt.Errorf("listing tokens: %w", err)
				}
				return a.printTokens(all)
			})
		})}
}

func (a *app) printTokens(all []store.SourceToken) error {
	out := make([]tokenOut, 0, len(all))
	t := table{header: []string{"ID", "CREATED", "EXPIRES", "LAST USED", "REVOKED"}}
	for _, k := range all {
		o := tokenJSON(k)
		out = append(out, o)
		t.add(o.ID, o.Created, o.Expires, o.LastUsed, o.Revoked)
	}
	return a.print(map[string]any{"tokens": out}, t)
}

func (a *app) scimTokenRevoke() *cobra.Command {
	return &cobra.Command{Use: "revoke NAME ID", Short: "End a token of a source, at once", Args: cobra.ExactArgs(2),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
				err := ad.RevokeSourceToken(ctx, args[0], args[1])
				if errors.Is(err, store.ErrNotFound) {
					return withHint(fmt.Errorf("source %q has no living token %q", args[0], args[1]), "understudy scim token ls "+args[0]+" lists its tokens")
				}
				if err != nil {
					return err
				}
				return a.say(map[string]any{"id": args[1], "source": args[0], "revoked": true}, "revoked token %s of source %s", args[1], args[0])
			})
		})}
}

// tokenOut is a token as -o json has it. The token itself is there only when it was added.
type tokenOut struct {
	ID       string `json:"id"`
	Source   string `json:"source"`
	Token    string `json:"token,omitempty"`
	Created  string `json:"created"`
	Expires  string `json:"expires,omitempty"`
	LastUsed string `json:"last_used,omitempty"` // within a minute
	Revoked  string `json:"revoked,omitempty"`
}

func tokenJSON(t store.SourceToken) tokenOut {
	return tokenOut{ID: t.ID, Source: t.Source, Created: stamp(t.Created), Expires: stamp(t.Expires), LastUsed: stamp(t.LastUsed), Revoked: stamp(t.Revoked)}
}
