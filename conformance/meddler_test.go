package conformance_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/conformance"
	"github.com/understudy-id/understudy/conformance/internal/meddler"
)

// unseen are the changes to answers that nothing finds, and why.
var unseen = map[string]string{
	"GET /.well-known/oauth-authorization-server 200: member grant_types_supported: drop":                 noTruth,
	"GET /.well-known/oauth-authorization-server 200: member token_endpoint_auth_methods_supported: drop": noTruth,
	"GET /.well-known/oauth-authorization-server 200: status: 500":                                        "one of the two documents is enough, and a run begins with the other",
	"POST /par 201: member expires_in: value":                                                             "no target tells how long a request_uri works, and to wait for it may take any time",
}

const noTruth = "the other document has it, and what one of two leaves out is no contradiction"

// meddled is a faultless server behind a proxy that meddles with what it answers.
func meddled(t *testing.T, meddle meddler.Meddle, around ...func(http.Handler) http.Handler) conformance.Target {
	t.Helper()
	return faultyTarget(t, "", conformance.StartByTicket, func(s http.Handler) http.Handler {
		origin := httptest.NewServer(s)
		t.Cleanup(origin.Close)
		at, err := url.Parse(origin.URL)
		if err != nil {
			t.Fatal(err)
		}
		h := meddler.New(at, meddle)
		for _, around := range around {
			h = around(h)
		}
		return h
	})
}

// finding is the first case that tells of something, as a run without skip would: failed or not to be tried, of which a run ends with 1. It is "" if none does.
func finding(t *testing.T, target conformance.Target, only ...string) (found string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := conformance.Run(ctx, target, conformance.Options{Slow: true, Destructive: true, Only: only, Done: func(r conformance.Result) {
		if found == "" && (r.Status == conformance.Failed || r.Status == conformance.Blocked) {
			found = r.ID
			cancel()
		}
	}})
	if err != nil {
		return err.Error()
	}
	return found
}

// TestMeddled: of 60 changes on the wire that are wrong by the clauses alone, drawn by a proxy that knows nothing of the cases, at least 57 are found.
func TestMeddled(t *testing.T) {
	t.Parallel()
	seen := &meddler.Seen{}
	for _, r := range try(t, meddled(t, seen.Meddle)).Results {
		if r.Status == conformance.Failed || r.Status == conformance.Blocked {
			t.Errorf("%s: %s %s; want %s, got %s", r.ID, r.Status, r.Reason, r.Want, r.Got)
		}
	}
	n := 60
	if testing.Short() {
		n = 6
	}
	if os.Getenv("UNDERSTUDY_LONG") != "" {
		n = 600
	}
	drawn := seen.Draw("understudy", n)
	if len(drawn) < n {
		t.Fatalf("there are %d changes; want %d", len(drawn), n)
	}
	var mu sync.Mutex
	missed := 0
	t.Run("wrong", func(t *testing.T) {
		for _, o := range drawn {
			t.Run(o.String(), func(t *testing.T) {
				t.Parallel()
				target := meddled(t, o.Meddle)
				found := finding(t, target, "answer", "metadata") // these find most, and a run ends with 1 whichever does
				if found == "" {
					found = finding(t, target)
				}
				why := unseen[o.String()]
				switch {
				case found == "" && why == "":
					t.Error("nothing finds it: add to the case that should, or to unseen with the reason")
				case found != "" && why != "":
					t.Errorf("%s finds it, and unseen says that nothing does", found)
				}
				if found == "" {
					mu.Lock()
					defer mu.Unlock()
					missed++
				}
			})
		}
	})
	if missed*20 > len(drawn) {
		t.Errorf("%d of %d are not found", missed, len(drawn))
	}
}

// TestMeddledLegally: what no clause forbids nobody finds.
func TestMeddledLegally(t *testing.T) {
	t.Parallel()
	legal := meddler.Legal()
	legal["names of headers in lower case"] = func(string, *meddler.Answer) {}
	for name, meddle := range legal {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := meddled(t, meddle)
			if name == "names of headers in lower case" {
				target = meddled(t, meddle, meddler.LowerCase)
			}
			if found := finding(t, target); found != "" {
				t.Errorf("%s finds it", found)
			}
		})
	}
}
