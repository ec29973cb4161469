package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/cmd/understudy/internal/demo"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

func (a *app) demoCmd() *cobra.Command {
	c := demo.Config{IssuerPort: demo.DefaultIssuerPort, AppPort: demo.DefaultAppPort}
	cmd := &cobra.Command{Use: "demo", Short: "Show the whole story in a browser: an issuer, an app and their people", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&c.Directory, "directory", "", "`directory` of the demo's databases (default: the current one)")
	f.BoolVar(&c.Fresh, "fresh", false, "remove what an earlier run left there, and start anew")
	f.BoolVar(&c.SameOrigin, "same-origin", false, "impersonate on the app's own origin, look only, instead of an origin apart")
	f.IntVar(&c.IssuerPort, "issuer-port", c.IssuerPort, "`port` of the issuer on this machine; 0 takes a free one")
	f.IntVar(&c.AppPort, "app-port", c.AppPort, "`port` of the app on this machine; 0 takes a free one")
	f.StringVar(&c.AppURL, "app-url", "", "`URL` of the app, such as http://app.localhost (default http://localhost)")
	f.StringVar(&c.AsUserURL, "as-user-url", "", "`URL` of the origin where impersonation lives, such as http://as-user.app.localhost (default http://127.0.0.1)")
	cmd.MarkFlagsMutuallyExclusive("same-origin", "as-user-url")
	cmd.RunE = a.does(func(ctx context.Context, _ []string) error { return a.demo(ctx, c) })
	cmd.AddCommand(a.demoCodeCmd())
	return cmd
}

func (a *app) demo(ctx context.Context, c demo.Config) (err error) {
	if c.Logger, err = a.demoLogger(); err != nil {
		return err
	}
	d, err := demo.Start(ctx, c)
	if err != nil {
		return demoHint(err)
	}
	if c.SameOrigin {
		c.Logger.WarnContext(ctx, "a risk is switched on", "risk", config.SameOriginRisk)
	}
	out, ok := a.stdout.(*os.File)
	live := ok && a.output == outputTable && isTerminal(out)
	if err := a.printDemo(d, live); err != nil {
		return errors.Join(err, d.Stop())
	}
	if live {
		a.showCodes(ctx, d)
	}
	return d.Wait()
}

// demoLogger tells what goes wrong, and more if asked. The other flags of a server mean nothing to a demo, and neither does
// what is configured for one.
func (a *app) demoLogger() (*slog.Logger, error) {
	for _, name := range slices.Sorted(maps.Keys(a.flags)) {
		if !strings.HasPrefix(name, "log-") {
			return nil, misuse{withHint(fmt.Errorf("--%s means nothing to a demo", name), "understudy demo --help lists its own flags")}
		}
	}
	l, err := config.Load(config.Sources{File: os.DevNull, Flags: a.flags})
	if err != nil {
		return nil, err
	}
	for _, p := range l.Check() {
		return nil, misuse{p}
	}
	if l.From("log.level") == "default" {
		l.Log.Level = "warn"
	}
	return a.logger(l), nil
}

func demoHint(err error) error {
	var taken *demo.TakenError
	var address *demo.AddressError
	switch {
	case errors.As(err, &address):
		return misuse{withHint(err, "understudy demo --help says which ports and URLs there are")}
	case errors.As(err, &taken):
		return withHint(err, "--"+taken.Part+"-port names another; 0 takes a free one")
	case errors.Is(err, sqlite.ErrLocked):
		return withHint(err, "stop the other demo, or give this one its own --directory")
	case errors.Is(err, demo.ErrForeign):
		return withHint(err, "nothing was written to it; --directory names another place for the demo")
	}
	return err
}

// signInOut is somebody who can sign in, as -o json has them.
type signInOut struct {
	Name       string `json:"name"`
	Email      string `json:"email"`
	Password   string `json:"password"`
	May        string `json:"may"`
	TOTPSecret string `json:"totp_secret,omitempty"`
	Code       string `json:"code,omitempty"`
}

// printDemo says where to go and whom to sign in as. live leaves out the codes, since a line below keeps them fresh.
func (a *app) printDemo(d *demo.Demo, live bool) error {
	if a.output == outputJSON {
		out := make([]signInOut, 0, len(d.People))
		for _, p := range d.People {
			out = append(out, signInOut{p.Name, p.Email, p.Password, p.May, p.TOTPSecret, p.Code(time.Now())})
		}
		v := map[string]any{"app_url": d.AppURL, "issuer_url": d.IssuerURL, "client_id": d.ClientID, "database": d.Database, "app_database": d.AppDatabase, "sign_ins": out}
		if d.AsUserURL != "" {
			v["as_user_url"] = d.AsUserURL
		}
		return a.printJSON(v)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "Acme\t%s\topen this\n", d.AppURL)
	fmt.Fprintf(w, "understudy\t%s\tthe issuer\n", d.IssuerURL)
	if d.AsUserURL != "" {
		fmt.Fprintf(w, "As a user\t%s\twhere impersonation lives\n", d.AsUserURL)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return a.printSignIns(d, live)
}

func (a *app) printSignIns(d *demo.Demo, live bool) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 3, ' ', 0)
	label := "Sign in as"
	for _, p := range d.People {
		code := ""
		if p.TOTPSecret != "" && !live {
			code = "\tcode " + p.Code(time.Now())
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s%s\n", label, p.Email, p.Password, p.May, code)
		label = ""
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "\nunderstudy demo code prints the codes of the moment, understudy audit ls --database %s\nwho did what. Ctrl-C stops; the next run goes on with the same data.\n", d.Database)
	return err
}

// showCodes keeps the codes of the moment in the last line of a terminal, until ctx ends or the demo does.
func (a *app) showCodes(ctx context.Context, d *demo.Demo) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ended := make(chan struct{})
	go func() { d.Wait(); close(ended) }()
	for {
		fmt.Fprintf(a.stdout, "\r\x1b[K%s", codeLine(d.People, time.Now()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			fmt.Fprintln(a.stdout)
			return
		case <-ended:
			fmt.Fprintln(a.stdout)
			return
		}
	}
}

// codeLine is short enough for a narrow terminal: a line that wraps could not be written over.
func codeLine(people []demo.Person, now time.Time) string {
	var codes []string
	for _, p := range people {
		if p.TOTPSecret != "" {
			name, _, _ := strings.Cut(p.Email, "@")
			codes = append(codes, name+" "+p.Code(now))
		}
	}
	left := demo.CodePeriod - time.Duration(now.UnixNano())%demo.CodePeriod
	return fmt.Sprintf("Codes   %s   for %d s", strings.Join(codes, "   "), int(left/time.Second)+1)
}

func (a *app) demoCodeCmd() *cobra.Command {
	return &cobra.Command{Use: "code [EMAIL]", Short: "Print the second factor's codes of the moment", Args: cobra.MaximumNArgs(1),
		RunE: a.does(func(_ context.Context, args []string) error {
			now := time.Now()
			if len(args) == 0 {
				return a.printCodes(demo.SignIns(), now)
			}
			i := slices.IndexFunc(demo.SignIns(), func(p demo.Person) bool { return p.Email == args[0] && p.TOTPSecret != "" })
			if i < 0 {
				return withHint(fmt.Errorf("nobody with the address %q has a second factor in the demo", args[0]), "understudy demo code lists those who have")
			}
			code := demo.SignIns()[i].Code(now)
			return a.say(map[string]string{"email": args[0], "code": code}, "%s", code)
		})}
}

func (a *app) printCodes(people []demo.Person, now time.Time) error {
	type codeOut struct {
		Email string `json:"email"`
		Code  string `json:"code"`
	}
	var out []codeOut
	t := table{header: []string{"EMAIL", "CODE"}}
	for _, p := range people {
		if p.TOTPSecret != "" {
			out = append(out, codeOut{p.Email, p.Code(now)})
			t.add(p.Email, p.Code(now))
		}
	}
	return a.print(map[string]any{"codes": out}, t)
}
