package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/conformance"
)

//go:embed target.yaml.tmpl
var targetSource string

// targetTemplate is a target file with comments; its values are quoted as JSON has it, which YAML reads too.
var targetTemplate = template.Must(template.New("target").Funcs(template.FuncMap{"quote": quote, "secret": from}).Option("missingkey=error").Parse(targetSource))

func quote(s string) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// from is the field that says where a secret is.
func from(field, where string) (string, error) {
	if !reference.MatchString(where) {
		field += "_file"
	}
	s, err := quote(where)
	return field + ": " + s, err
}

// question is one that init asks.
type question struct {
	name   string // in the template
	text   string
	offer  string // the answer of who gives none; {start} in it stands for that answer
	empty  bool   // "-" means that there is none
	when   func(answers map[string]string) bool
	wrong  func(answer string) string // what is wrong with it, "" if nothing
	sample string                     // what --print has where it is not the offer
}

func byPage(a map[string]string) bool { return a["start"] == conformance.StartByTicket }
func byToken(a map[string]string) bool {
	return a["start"] == conformance.StartByTicket || a["start"] == conformance.StartByUserID
}
func byTheirs(a map[string]string) bool { return a["start"] == conformance.StartByToken }

var starts = []string{conformance.StartByTicket, conformance.StartByUserID, conformance.StartByRequest, conformance.StartByToken}

const ourTypes = "urn:understudy:params:oauth:token-type:"

var questions = []question{
	{name: "issuer", text: "The server's issuer: the URL below which its metadata is", wrong: wrongURL, sample: "https://login.example"},
	{name: "resource", text: "The API that tokens are asked for, a URI", empty: true, offer: "-"},
	{name: "app", text: "The client that signs people in and starts: its client_id", offer: "app", wrong: missing},
	{name: "app_secret", text: "Its secret: ${NAME} in the environment, or a file", offer: "${APP_SECRET}"},
	{name: "app_redirect", text: "A redirect URI that is registered for it; nothing needs to listen there", wrong: wrongURL, sample: "https://app.example/callback"},
	{name: "scope", text: "The scopes that the actor signs in with", offer: "openid impersonate", empty: true},
	{name: "subject_scope", text: "The scopes that a start asks for", offer: "openid", empty: true},
	{name: "actor", text: "The actor, who may impersonate: their sub in tokens", wrong: missing, sample: "usr_ann"},
	{name: "actor_login", text: "What they type to sign in", wrong: missing, sample: "ann@acme.test"},
	{name: "actor_password", text: "Their password: ${NAME} in the environment, or a file", offer: "${ACTOR_PASSWORD}"},
	{name: "actor_totp", text: "The secret of their second factor in base32: ${NAME}, or a file", offer: "-", empty: true, sample: "${ACTOR_TOTP}"},
	{name: "subject", text: "The subject, an ordinary user: their sub in tokens", wrong: missing, sample: "usr_john"},
	{name: "start", text: "How a start is made: ticket (a page of the server gives one), user_id, requested_subject (a parameter), or subject_token (the subject's own)", offer: conformance.StartByTicket, wrong: func(s string) string {
		if !slices.Contains(starts, s) {
			return "must be ticket, user_id, requested_subject or subject_token"
		}
		return ""
	}},
	{name: "subject_login", text: "What the subject types to sign in", when: byTheirs, wrong: missing},
	{name: "subject_password", text: "Their password: ${NAME} in the environment, or a file", offer: "${SUBJECT_PASSWORD}", when: byTheirs},
	{name: "page", text: "The page that gives tickets, relative to the issuer", offer: "/impersonate", when: byPage, wrong: missing},
	{name: "type", text: "The subject_token_type of a start", offer: ourTypes + "{start}", when: byToken, wrong: missing},
	{name: "return_type", text: "The type by which a start is stopped: the subject_token_type of a one-time token that leads back", offer: ourTypes + "return_token", empty: true, when: byPage},
	{name: "return_member", text: "The member of the answer that holds it", offer: "understudy_return_token", when: func(a map[string]string) bool { return a["return_type"] != "" }, wrong: missing},
}

func missing(s string) string {
	if s == "" {
		return "must be given"
	}
	return ""
}

func wrongURL(s string) string {
	if u, err := url.Parse(s); err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.Path == "" {
		return "must be a whole URL"
	}
	return ""
}

func (a *app) initCmd() *cobra.Command {
	var (
		file  string
		print bool
	)
	cmd := &cobra.Command{
		Use: "init", Short: "Ask about the server, and write a target file", Args: cobra.NoArgs,
		Long: "Ask about the server, its test clients and its test accounts, and write a target file with comments. Nothing that is there is written over. " +
			"Secrets are never asked for: the file says where they are, in the environment or in files. Answers may be piped, a line each; an empty line takes what is offered.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			if print {
				return targetTemplate.Execute(a.stdout, samples())
			}
			if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there already, and is not written over: --target names another", file)
			}
			answers, err := a.ask(ctx, filepath.Dir(file))
			if err != nil {
				return err
			}
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			if err := errors.Join(targetTemplate.Execute(f, answers), f.Close()); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "wrote %s; look through it, then: understudy-conformance run --target %s\n", file, file)
			return nil
		}),
	}
	cmd.Flags().StringVar(&file, "target", "target.yaml", "the `file` that is written")
	cmd.Flags().BoolVar(&print, "print", false, "print a sample, and ask and write nothing")
	return cmd
}

// samples are the answers of --print.
func samples() map[string]string {
	all := make(map[string]string)
	for _, q := range questions {
		all[q.name] = q.sample
		if q.sample == "" {
			all[q.name] = q.offered(all)
		}
	}
	return all
}

// offered is what an empty answer means.
func (q question) offered(answers map[string]string) string {
	if q.offer == "-" {
		return ""
	}
	return strings.ReplaceAll(q.offer, "{start}", answers["start"])
}

// ask asks all questions that apply. dir is where files with secrets begin.
func (a *app) ask(ctx context.Context, dir string) (map[string]string, error) {
	lines := make(chan string)
	go func() { // ends with the program: nothing else ends a read of a terminal
		defer close(lines)
		in := bufio.NewScanner(a.stdin)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	answers := make(map[string]string)
	for _, q := range questions {
		answers[q.name] = ""
		if q.when != nil && !q.when(answers) {
			continue
		}
		for {
			offer := q.offered(answers)
			fmt.Fprint(a.stderr, q.text)
			if q.empty && offer != "" {
				fmt.Fprint(a.stderr, ", - for none")
			}
			if offer != "" || q.empty {
				fmt.Fprintf(a.stderr, " [%s]", strings.TrimSpace(offer+map[bool]string{true: "none"}[offer == ""]))
			}
			fmt.Fprint(a.stderr, ": ")
			line, more, err := next(ctx, lines)
			if err != nil {
				return nil, err
			}
			answer := strings.TrimSpace(line)
			switch {
			case answer == "":
				answer = offer
			case answer == "-" && q.empty:
				answer = ""
			}
			wrong := ""
			if q.wrong != nil {
				wrong = q.wrong(answer)
			}
			if answer != "" && (strings.HasSuffix(q.name, "_secret") || strings.HasSuffix(q.name, "_password") || strings.HasSuffix(q.name, "_totp")) {
				wrong = wrongSecret(dir, answer)
			}
			if wrong == "" {
				answers[q.name] = answer
				break
			}
			fmt.Fprintln(a.stderr, wrong)
			if !more {
				return nil, fmt.Errorf("the answers ended before: %s. Nothing was written", q.text)
			}
		}
	}
	return answers, nil
}

// next is the next line of the answers; more is false where there is none.
func next(ctx context.Context, lines <-chan string) (line string, more bool, err error) {
	select {
	case line, more = <-lines:
		return line, more, nil
	case <-ctx.Done():
		return "", false, context.Cause(ctx)
	}
}

// wrongSecret is for who types the secret itself, which must not stand in the file, nor on the screen again.
func wrongSecret(dir, answer string) string {
	if reference.MatchString(answer) {
		return ""
	}
	if !filepath.IsAbs(answer) {
		answer = filepath.Join(dir, answer)
	}
	if info, err := os.Stat(answer); err != nil || !info.Mode().IsRegular() {
		return "that is neither ${NAME} nor a file that is there; the secret itself does not belong here"
	}
	return ""
}
