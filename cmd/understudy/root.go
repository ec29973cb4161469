package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
)

// root is the tree of commands.
func (a *app) root() *cobra.Command {
	root := a.group("understudy", "Let an administrator see an application as a user sees it, and record who, whom and why",
		a.demoCmd(), a.serveCmd(), a.migrateCmd(), a.clientCmd(), a.userCmd(), a.scimCmd(), a.sessionCmd(), a.streamCmd(), a.grantCmd(), a.keysCmd(), a.auditCmd(), a.storeCmd(), a.configCmd(), a.versionCmd(), configurationHelp())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetUsageTemplate(usage)
	root.SetHelpCommand(helpCmd())
	p := root.PersistentFlags()
	p.SortFlags = false
	p.StringVar(&a.file, "config", "", "YAML `file` (default "+config.DefaultFile+", if it exists)")
	p.StringVarP(&a.output, "output", "o", outputTable, "`form` of the output: table or json")
	c := config.Default()
	for _, f := range c.Fields() {
		if f.Flag() != "" {
			p.Var(&flagValue{f, a.flags}, f.Flag(), f.Doc)
		}
	}
	return root
}

// usage is cobra's own without the configuration flags, which every command takes and which would bury its own.
const usage = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} [command]{{else}}{{.UseLine}}{{end}}
{{- if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{- end}}
{{- if and .HasParent .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{- end}}

Every command takes -o table|json, --config and the flags of "understudy help configuration".
`

// group is a command that only has others.
func (a *app) group(use, short string, subs ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	g.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])
		if near := config.Near(args[0], names(subs)); len(near) > 0 {
			err = withHint(err, "did you mean "+strings.Join(near, " or ")+"?")
		}
		return err
	}
	g.AddCommand(subs...)
	return g
}

// helpCmd is cobra's own, but for what it does about a topic that there is not: print something else, and exit 0.
func helpCmd() *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND]", Short: "Say more about a command or a topic", RunE: func(cmd *cobra.Command, args []string) error {
		about, rest, err := cmd.Root().Find(args)
		if err != nil || len(rest) > 0 {
			return withHint(fmt.Errorf("there is no help on %q", strings.Join(args, " ")), "understudy help lists commands; help configuration is a topic too")
		}
		about.InitDefaultHelpFlag()
		return about.Help()
	}}
}

func names(cmds []*cobra.Command) []string {
	var out []string
	for _, c := range cmds {
		out = append(out, c.Name())
	}
	return out
}

// flagValue is the flag of a configuration field: it only remembers what was given, since the layers are put
// together elsewhere.
type flagValue struct {
	field config.Field
	given map[string]string
}

var _ pflag.Value = (*flagValue)(nil)

func (v *flagValue) String() string {
	if v.given == nil {
		return "" // pflag asks a zero value for its idea of unset
	}
	return v.field.Text()
}

func (v *flagValue) Set(s string) error {
	if err := v.field.Set(s); err != nil {
		return err
	}
	if v.field.Kind() == "list" && v.given[v.field.Flag()] != "" {
		s = v.given[v.field.Flag()] + "," + s
	}
	v.given[v.field.Flag()] = s
	return nil
}

func (v *flagValue) Type() string { return v.field.Kind() }

// configurationHelp is a help topic made from the fields of config.Config.
func configurationHelp() *cobra.Command {
	var b strings.Builder
	b.WriteString("Flags stand over the environment, the environment over the YAML file, the file over the defaults.\n" +
		"understudy config show -o yaml prints such a file, with the form of resources, scopes and roles.\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	c := config.Default()
	for _, f := range c.Fields() {
		fmt.Fprintf(w, "%s\t%s\n", f.Path, f.Doc)
		fmt.Fprintf(w, "\t  %s\n", strings.Join(ways(f), "   "))
		for _, k := range f.Keys() {
			fmt.Fprintf(w, "\t    %-32s  %s\n", k.Path, k.Doc)
		}
	}
	w.Flush()
	return &cobra.Command{Use: "configuration", Short: "What can be set, and where", Long: strings.TrimRight(b.String(), "\n")}
}

// ways are how a field is set, beside the file, and its default.
func ways(f config.Field) []string {
	if f.FileOnly {
		if len(f.Keys()) > 0 {
			return []string{"in the file only, a list of which each has"}
		}
		return []string{"in the file only"}
	}
	out := []string{f.Env()}
	if f.Flag() != "" {
		out = append(out, "--"+f.Flag())
	}
	if f.Text() != "" {
		out = append(out, "default "+f.Text())
	}
	return out
}

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: a.does(func(context.Context, []string) error {
		v := version()
		return a.say(v, "understudy %s %s", v.Version, v.Go)
	})}
}
