package conformance_test

import (
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/conformance"
	"github.com/understudy-id/understudy/conformance/internal/faulty"
)

// faultyTarget starts a server that is wrong in one way, and tells the suite of it. Where behind is given it makes of the server what the suite sees.
func faultyTarget(t *testing.T, fault faulty.Fault, by string, behind ...func(http.Handler) http.Handler) conformance.Target {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	issuer := "http://" + srv.Listener.Addr().String()
	s, err := faulty.New(issuer, fault)
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = s
	for _, behind := range behind {
		srv.Config.Handler = behind(s)
	}
	srv.Start()
	t.Cleanup(srv.Close)
	client := func(c *faulty.Client) conformance.Client {
		return conformance.Client{ID: c.ID, Secret: c.Secret, RedirectURI: c.RedirectURI}
	}
	account := func(a *faulty.Account) conformance.Account {
		return conformance.Account{Subject: a.Subject, Login: a.Login, Password: a.Password}
	}
	agent := func(c *faulty.Client) conformance.Agent {
		subject, kind := c.Itself()
		return conformance.Agent{Client: client(c), Subject: subject, Scope: faulty.ReadScope, Kind: kind}
	}
	coded := account(faulty.Coded)
	coded.TOTP = faulty.Coded.TOTP()
	keyed := client(faulty.Keyed)
	keyed.Auth, keyed.PrivateKey, keyed.KeyID = "private_key_jwt", faulty.PrivateKey(), faulty.KeyID
	return conformance.Target{
		Issuer: issuer, Resource: faulty.Resource, OtherResource: faulty.OtherResource, Scope: "openid " + faulty.ReadScope + " " + faulty.WriteScope + " impersonate", SubjectScope: "openid " + faulty.ReadScope, WriteScope: faulty.WriteScope,
		Clients: conformance.Clients{
			App: client(faulty.App), Other: new(client(faulty.Other)), Key: &keyed, NoExchange: new(client(faulty.NoExchange)), Bound: new(client(faulty.Bound)), Public: new(client(faulty.Public)),
		},
		Accounts: conformance.Accounts{
			Actor: account(faulty.Actor), OtherActor: new(account(faulty.OtherActor)), Subject: account(faulty.Subject),
			Protected: new(account(faulty.Protected)), Ordinary: new(account(faulty.Ordinary)),
			SecondFactor: &coded, Limited: new(account(faulty.Limited)), Outside: new(account(faulty.Outside)), Disabled: new(account(faulty.Disabled)),
		},
		Start: start(by), Agents: []conformance.Agent{agent(faulty.Bot), agent(faulty.Robot)},
		Lifetimes: conformance.Lifetimes{Code: faulty.CodeLifetime, Ticket: faulty.TicketLifetime, AccessToken: faulty.AccessLifetime}, Elapse: s.Elapse,
	}
}

// start is how the faulty server is told to begin an impersonation.
func start(by string) conformance.Start {
	s := conformance.Start{By: by, ReturnTokenType: faulty.TypeReturn, ReturnTokenMember: faulty.MemberReturn}
	switch by {
	case conformance.StartByTicket:
		s.Page, s.SubjectTokenType = "/impersonate", faulty.TypeTicket
		s.Query = map[string]string{"subject": "{subject}"}
		s.Fields = map[string]string{"mode": "{mode}", "reason": "{reason}"}
		s.ReadMode, s.WriteMode = "read", "write"
	case conformance.StartByUserID:
		s.SubjectTokenType = faulty.TypeUserID
	}
	return s
}

// try tries some cases, all if none is named.
func try(t *testing.T, target conformance.Target, only ...string) *conformance.Report {
	t.Helper()
	report, err := conformance.Run(t.Context(), target, conformance.Options{Slow: true, Destructive: true, Only: only})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// needs reports whether a case needs one of some features.
func needs(id string, features []conformance.Feature) bool {
	c, _ := conformance.Find(id)
	return slices.ContainsFunc(c.Needs, func(f conformance.Feature) bool { return slices.Contains(features, f) })
}

// TestFaultless: a server that does all that is asked for passes every case, whichever way it starts.
func TestFaultless(t *testing.T) {
	t.Parallel()
	for by, without := range map[string]struct {
		features []conformance.Feature
		cases    []string
	}{
		conformance.StartByTicket:  {nil, nil},
		conformance.StartByUserID:  {[]conformance.Feature{conformance.FeatureModes, conformance.FeatureTicket}, []string{"error/same-for-every-refused-token"}},
		conformance.StartByRequest: {[]conformance.Feature{conformance.FeatureModes, conformance.FeatureTicket}, []string{"error/same-for-every-refused-token", "exchange/actor-required", "exchange/actor-token-tampered"}},
	} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			report := try(t, faultyTarget(t, "", by))
			if !slices.Equal(report.Without, without.features) {
				t.Errorf("it is without %q; want %q", report.Without, without.features)
			}
			for _, r := range report.Results {
				skips := needs(r.ID, without.features) || slices.Contains(without.cases, r.ID)
				if r.Status != conformance.Passed && !(skips && r.Status == conformance.Skipped) || skips && r.Status == conformance.Passed {
					t.Errorf("%s: %s %s; want %s, got %s", r.ID, r.Status, r.Reason, r.Want, r.Got)
				}
			}
		})
	}
}

// TestForgetful: of a server that keeps nobody signed in nothing is found for that. What it refuses it is asked again behind its password, so that a page which asks for
// it is not taken for a refusal.
func TestForgetful(t *testing.T) {
	t.Parallel()
	sessions := []string{"code/prompt-none-signed-in", "code/prompt-login", "code/auth-time-true"}
	report := try(t, faultyTarget(t, faulty.Forgetful, conformance.StartByUserID), "code", "refresh", "exchange/start-works")
	for _, r := range report.Results {
		skips := slices.Contains(sessions, r.ID) || needs(r.ID, report.Without)
		if skips && r.Status != conformance.Skipped || !skips && r.Status != conformance.Passed {
			t.Errorf("%s: %s %s; want %s, got %s", r.ID, r.Status, r.Reason, r.Want, r.Got)
		}
	}
}

// TestFaults: a server that is wrong in one way fails exactly the cases that are about it, as critical where it gives somebody what they must not have.
// Of the cases that must not fail one in six is tried with each fault, others with the next; with UNDERSTUDY_LONG all are.
func TestFaults(t *testing.T) {
	t.Parallel()
	for i, wrong := range faulty.Faults() {
		t.Run(string(wrong.Fault), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && i%10 != 0 {
				t.Skip("-short tries one fault in ten: under the race detector all take minutes, and what may race is the same in each")
			}
			named, aside := make(map[string]bool), make(map[string]bool)
			for _, id := range wrong.Cases {
				id, minor := strings.CutPrefix(id, "~")
				aside[id] = minor
				if _, ok := conformance.Find(id); !ok {
					t.Errorf("no case is called %s", id)
				}
				named[id] = true
			}
			var only []string
			for _, c := range conformance.Cases() {
				if named[c.ID] || drawn(wrong.Fault, c.ID) || os.Getenv("UNDERSTUDY_LONG") != "" {
					only = append(only, c.ID)
				}
			}
			report := try(t, faultyTarget(t, wrong.Fault, conformance.StartByTicket), only...)
			for _, r := range report.Results {
				switch {
				case named[r.ID] && r.Status != conformance.Failed:
					t.Errorf("%s does not find it: %s %s", r.ID, r.Status, r.Reason)
				case named[r.ID] && len(r.KnownFrom) != len(known(r.ID)):
					t.Errorf("%s is known from %q; want %q", r.ID, r.KnownFrom, known(r.ID))
				case named[r.ID] && (r.Severity == conformance.Critical) != (wrong.Grants && !aside[r.ID]):
					t.Errorf("%s calls it %s: want %s, got %s", r.ID, r.Severity, r.Want, r.Got)
				case !named[r.ID] && r.Status != conformance.Passed && !(r.Status == conformance.Skipped && needs(r.ID, report.Without)):
					t.Errorf("%s: %s %s; want %s, got %s", r.ID, r.Status, r.Reason, r.Want, r.Got)
				}
			}
		})
	}
}

// known are the published weaknesses that a case would have found.
func known(id string) []conformance.Weakness {
	c, _ := conformance.Find(id)
	return c.KnownFrom()
}

// drawn tells whether a case that must not fail is tried with a fault: the same in each run, whatever other cases and faults there are.
func drawn(fault faulty.Fault, id string) bool {
	h := fnv.New32a()
	h.Write([]byte(string(fault) + " " + id))
	return h.Sum32()%6 == 0
}

// TestEachCaseHasItsFault: a case that no fault makes fail may be one that cannot.
func TestEachCaseHasItsFault(t *testing.T) {
	t.Parallel()
	named := make(map[string]bool)
	for _, wrong := range faulty.Faults() {
		if len(wrong.Cases) == 0 {
			t.Errorf("%s is found by no case", wrong.Fault)
		}
		for _, id := range wrong.Cases {
			named[strings.TrimPrefix(id, "~")] = true
		}
	}
	for _, c := range conformance.Cases() {
		if !named[c.ID] {
			t.Errorf("%s is failed by no fault of the faulty server: add one to conformance/internal/faulty/faults.go", c.ID)
		}
	}
}
