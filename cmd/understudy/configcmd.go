package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth"
)

func (a *app) configCmd() *cobra.Command {
	return a.group("config", "The configuration: check and show", a.configCheck(), a.configShow())
}

func (a *app) configCheck() *cobra.Command {
	return &cobra.Command{Use: "check", Short: "Say what is wrong (exit 1) and which risks are switched on", Args: cobra.NoArgs,
		RunE: a.does(func(context.Context, []string) error {
			l, err := a.config()
			if err != nil {
				return err
			}
			risks, notes, known := l.Risks(), l.Notes(), registrations(l)
			if a.output == outputJSON {
				return a.printJSON(map[string]any{"ok": true, "risks": notNil(risks), "notes": notes, "upstreams": known})
			}
			for _, r := range risks {
				fmt.Fprintln(a.stdout, "risk: "+r)
			}
			for _, n := range notes {
				fmt.Fprintln(a.stdout, "note: "+n)
			}
			for _, r := range known {
				fmt.Fprintf(a.stdout, "register at %s: redirect URI %s, URI after a log-out %s, back-channel logout URI %s\n", r.Issuer, r.Redirect, r.PostLogout, r.Backchannel)
			}
			_, err = fmt.Fprintln(a.stdout, "the configuration is good")
			return err
		})}
}

// registration is what an upstream must know of us.
type registration struct {
	Name        string `json:"name"`
	Issuer      string `json:"issuer"`
	Redirect    string `json:"redirect_uri"`
	PostLogout  string `json:"post_logout_redirect_uri"`
	Backchannel string `json:"backchannel_logout_uri"`
}

func registrations(l *config.Loaded) []registration {
	out := []registration{}
	for _, u := range l.Providers() {
		r := registration{Name: u.Provider.Name, Issuer: u.Provider.Issuer.URL}
		r.Redirect, r.PostLogout, r.Backchannel = u.Addresses(l.PublicURL)
		out = append(out, r)
	}
	return out
}

func (a *app) configShow() *cobra.Command {
	return &cobra.Command{Use: "show", Short: "Show what is set and where it came from; secrets are not shown (-o table, json or yaml)", Args: cobra.NoArgs,
		Annotations: map[string]string{outputs: outputYAML},
		RunE: a.does(func(context.Context, []string) error {
			l, err := config.Load(config.Sources{File: a.file, Env: a.env, Flags: a.flags})
			if err != nil {
				return err
			}
			if a.output == outputYAML {
				return a.showYAML(l)
			}
			return a.showConfig(l)
		})}
}

func (a *app) showConfig(l *config.Loaded) error {
	type setting struct {
		Value  any    `json:"value"`
		Source string `json:"source"`
	}
	out := map[string]setting{}
	t := table{header: []string{"KEY", "VALUE", "SOURCE"}}
	for _, f := range l.Fields() {
		text := f.Text()
		v := any(text)
		if f.FileOnly || f.Kind() == "list" {
			data, err := json.Marshal(f.Value())
			if err != nil {
				return err
			}
			v, text = json.RawMessage(data), strings.TrimPrefix(string(data), "null")
		}
		out[f.Path] = setting{v, l.From(f.Path)}
		t.add(f.Path, text, l.From(f.Path))
	}
	return a.print(out, t)
}

// showYAML writes a file that can be read again; where each value came from is a comment, and so are the secrets.
func (a *app) showYAML(l *config.Loaded) error {
	var doc yaml.Node
	if err := doc.Encode(l.Config); err != nil {
		return err
	}
	var walk func(n *yaml.Node, prefix string)
	walk = func(n *yaml.Node, prefix string) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			path := prefix + n.Content[i].Value
			walk(n.Content[i+1], path+".")
			if l.Has(path) {
				n.Content[i].LineComment = l.From(path)
			}
		}
	}
	walk(&doc, "")
	hideSecrets(&doc, "", l)
	e := yaml.NewEncoder(a.stdout)
	e.SetIndent(2)
	return errors.Join(e.Encode(&doc), e.Close())
}

// hideSecrets takes the secrets out of n, which is at path, and leaves a comment where one is set: what is written can be read again.
func hideSecrets(n *yaml.Node, path string, l *config.Loaded) {
	if n.Kind == yaml.SequenceNode {
		for i, item := range n.Content {
			hideSecrets(item, fmt.Sprintf("%s[%d]", path, i), l)
		}
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); {
		below := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
		if n.Content[i+1].Value != hidden {
			hideSecrets(n.Content[i+1], below, l)
			i += 2
			continue
		}
		n.Content = slices.Delete(n.Content, i, i+2)
		if at := min(i, len(n.Content)-2); at >= 0 && isSet(l, below) {
			n.Content[at].HeadComment = fmt.Sprintf("%s: %s, %s", below, hidden, l.From(below))
		}
	}
}

// isSet reports whether there is a secret at path. In a list empty ones are not written at all.
func isSet(l *config.Loaded, path string) bool {
	i := slices.IndexFunc(l.Fields(), func(f config.Field) bool { return f.Path == path })
	return i < 0 || l.Fields()[i].Text() != ""
}

// hidden is what an oauth.Secret writes of itself.
var hidden = oauth.Secret("").String()
