package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// copies are what each flag of settingsFlags sets, from one to another.
var copies = map[string]func(to, from *store.Settings){
	"auth":                     func(to, from *store.Settings) { to.Auth = from.Auth },
	"jwks":                     func(to, from *store.Settings) { to.Keys = from.Keys },
	"dpop":                     func(to, from *store.Settings) { to.DPoP = from.DPoP },
	"require-par":              func(to, from *store.Settings) { to.RequirePAR = from.RequirePAR },
	"id-token-alg":             func(to, from *store.Settings) { to.IDTokenAlg = from.IDTokenAlg },
	"refresh":                  func(to, from *store.Settings) { to.Refresh = from.Refresh },
	"service":                  func(to, from *store.Settings) { to.Service = from.Service },
	"user-id-start":            func(to, from *store.Settings) { to.UserID = from.UserID },
	"subject-issuer":           func(to, from *store.Settings) { to.SubjectIssuer = from.SubjectIssuer },
	"post-logout-redirect-uri": func(to, from *store.Settings) { to.PostLogoutRedirectURIs = filled(from.PostLogoutRedirectURIs) },
	"backchannel-logout-uri":   func(to, from *store.Settings) { to.BackchannelLogoutURI = from.BackchannelLogoutURI },
	"ssf-push-uri":             func(to, from *store.Settings) { to.PushURI = from.PushURI },
}

func (a *app) clientSet() *cobra.Command {
	var to store.Settings
	var exchange bool
	var jwks string
	cmd := &cobra.Command{Use: "set ID", Short: "Change how a client authenticates and what it gets; a flag's empty value takes away", Args: cobra.ExactArgs(1),
		Long: "Change how a client authenticates and what it gets; a flag's empty value takes away.\n\n" +
			"What takes something from it ends its sessions and revokes its tokens, and so do a key or a secret\n" +
			"that no longer counts, --dpop and --subject-issuer. Grants that it can no longer use stop counting."}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&exchange, "exchange", false, "it may impersonate; --exchange=false takes that away")
	settingsFlags(cmd, &to, &jwks)
	cmd.RunE = a.does(func(ctx context.Context, args []string) error {
		if !f.Changed("exchange") && !slices.ContainsFunc(slices.Collect(maps.Keys(copies)), f.Changed) {
			return misuse{errors.New("nothing to change: no setting was given")}
		}
		var err error
		if to.Keys, err = readKeys(jwks); err != nil {
			return err
		}
		var change admin.ClientChange
		if f.Changed("exchange") {
			change.Exchange = &exchange
		}
		change.Settings = func(s store.Settings) store.Settings {
			for name, set := range copies {
				if f.Changed(name) {
					set(&s, &to)
				}
			}
			return s
		}
		return a.withAdmin(ctx, true, func(ad *admin.Admin) error {
			if err := a.changeClient(ctx, ad, args[0], change); err != nil {
				return err
			}
			a.warnAlike(ctx, ad.Store, to.SubjectIssuer)
			return nil
		})
	})
	return cmd
}

// filled leaves out what is empty: --post-logout-redirect-uri ” takes all away.
func filled(list []string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (a *app) changeClient(ctx context.Context, ad *admin.Admin, id string, change admin.ClientChange) error {
	ended, err := ad.ChangeClient(ctx, id, change)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noClient(id)
	case errors.Is(err, impersonation.ErrChanged):
		return withHint(fmt.Errorf("client %s was changed by somebody else at the same time", id), "look at it with understudy client ls, and try again")
	case err != nil:
		return err
	}
	text := "changed client %s"
	if ended {
		text = "changed client %s; its sessions are ended and its tokens revoked"
	}
	return a.say(map[string]any{"client_id": id, "ended": ended}, text, id)
}
