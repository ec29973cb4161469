package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

func (a *app) keysCmd() *cobra.Command {
	return a.group("keys", "Signing keys: list, rotate, revoke", a.keysList(), a.keysRotate(), a.keysRevoke())
}

// keyOut is a signing key as -o json has it.
type keyOut struct {
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	State     string `json:"state"`
	Created   string `json:"created"`
	Activates string `json:"activates"`
	Retires   string `json:"retires,omitempty"`
	Revoked   string `json:"revoked,omitempty"`
}

func (a *app) keysList() *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "List signing keys, newest first, and what each is for now", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.withAdmin(ctx, false, func(ad *admin.Admin) error { return a.listKeys(ctx, ad) })
		})}
}

func (a *app) listKeys(ctx context.Context, ad *admin.Admin) error {
	keys, err := ad.Keys(ctx)
	if err != nil {
		return err
	}
	out := make([]keyOut, 0, len(keys))
	t := table{header: []string{"KEY", "ALG", "STATE", "CREATED", "SIGNS FROM", "VERIFIES UNTIL", "REVOKED"}}
	for _, k := range keys {
		o := keyOut{k.ID, k.Algorithm, string(k.State), stamp(k.Created), stamp(k.Activates), stamp(k.Retires), stamp(k.Revoked)}
		out = append(out, o)
		t.add(o.ID, o.Algorithm, o.State, o.Created, o.Activates, o.Retires, o.Revoked)
	}
	return a.print(map[string]any{"keys": out}, t)
}

func (a *app) keysRotate() *cobra.Command {
	var alg string
	var now bool
	cmd := &cobra.Command{Use: "rotate", Short: "Make a signing key; it signs in 10 minutes, when caches have heard of it", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&alg, "alg", "", "in the place of the `algorithm`'s key: ES256, EdDSA or RS256 (default signing.algorithm)")
	f.BoolVar(&now, "now", false, "it signs in 5 seconds: apps that have the old list of keys refuse its tokens for up to 5 minutes")
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error {
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
			r, err := ad.RotateKey(ctx, alg, now)
			if errors.Is(err, impersonation.ErrChanged) {
				return withHint(err, "somebody else made a key just now: understudy keys ls")
			}
			if err != nil {
				return err
			}
			return a.sayRotation(ad, r)
		})
	})
	return cmd
}

func (a *app) sayRotation(ad *admin.Admin, r admin.Rotation) error {
	out := map[string]string{"kid": r.Key.ID, "alg": r.Key.Algorithm, "activates": stamp(r.Key.Activates)}
	text := fmt.Sprintf("%s signs %s from %s", r.Key.ID, r.Key.Algorithm, stamp(r.Key.Activates))
	if r.Was != "" {
		out["was"], out["was_retires"] = r.Was, stamp(r.WasRetires)
		text += fmt.Sprintf("; %s verifies until %s", r.Was, stamp(r.WasRetires))
	}
	if alg := r.Key.Algorithm; alg != ad.SigningAlgorithm {
		text += fmt.Sprintf("\nsigning.algorithm is %s: %s is for ID tokens of clients that are registered for it", ad.SigningAlgorithm, alg)
	}
	if a.output == outputJSON {
		return a.printJSON(out)
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

func (a *app) keysRevoke() *cobra.Command {
	var reason string
	cmd := &cobra.Command{Use: "revoke KEY --reason TEXT", Short: "Refuse all that a key signed, from now on and for good: for a key that was stolen", Args: cobra.ExactArgs(1),
		Long: "Refuse all that a key signed, from now on and for good: for a key that was stolen.\n\n" +
			"A KEY that begins with a dash goes last, after two: understudy keys revoke --reason TEXT -- -KEY"}
	cmd.Flags().StringVar(&reason, "reason", "", "why, 1 to 500 characters, for the trail")
	cmd.MarkFlagRequired("reason")
	cmd.RunE = a.does(func(ctx context.Context, args []string) error {
		return a.withAdmin(ctx, false, func(ad *admin.Admin) error {
			replacement, err := ad.RevokeKey(ctx, args[0], reason)
			if errors.Is(err, impersonation.ErrChanged) {
				return withHint(fmt.Errorf("%s is revoked already", args[0]), "nothing was changed, and nothing is left to do: what it signed counts for nothing")
			}
			if inv := new(admin.InvalidError); errors.As(err, &inv) && inv.Field == "kid" {
				return withHint(err, "nothing was changed: understudy keys ls lists keys; a key is given by its whole ID")
			}
			if err != nil {
				return err
			}
			out, text := map[string]string{"revoked": args[0]}, "revoked "+args[0]
			if replacement != "" {
				out["replacement"] = replacement
				text += "; " + replacement + " signs from now on"
			}
			return a.say(out, "%s", text)
		})
	})
	return cmd
}
