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
			risks := l.Risks()
			if a.output == outputJSON {
				return a.printJSON(map[string]any{"ok": true, "risks": notNil(risks), "notes": []string{config.SameOriginRisk}})
			}
			for _, r := range risks {
				fmt.Fprintln(a.stdout, "risk: "+r)
			}
			fmt.Fprintln(a.stdout, "note: "+config.SameOriginRisk) // no registration tells which app does
			_, err = fmt.Fprintln(a.stdout, "the configuration is good")
			return err
		})}
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
	hideSecrets(&doc, l)
	e := yaml.NewEncoder(a.stdout)
	e.SetIndent(2)
	return errors.Join(e.Encode(&doc), e.Close())
}

// hideSecrets takes the secrets, which are fields of Config itself, out of doc, and leaves a comment where one is set.
func hideSecrets(doc *yaml.Node, l *config.Loaded) {
	for _, f := range l.Fields() {
		i := slices.IndexFunc(doc.Content, func(n *yaml.Node) bool { return f.Secret && n.Value == f.Path })
		if i < 0 {
			continue
		}
		doc.Content = slices.Delete(doc.Content, i, i+2)
		if f.Text() != "" && i < len(doc.Content) {
			doc.Content[i].HeadComment = fmt.Sprintf("%s: %s, %s", f.Path, f.Text(), l.From(f.Path))
		}
	}
}
