package ssf_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/ssf"
)

var at = time.Date(2030, 1, 2, 3, 4, 5, 600e6, time.UTC)

func aSET() ssf.SET {
	return ssf.SET{
		Issuer: "https://id.test", Audience: "app", IssuedAt: at, ID: "set_1", Transaction: "aud_1",
		Revoked: &ssf.Revoked{Session: "imp_1", Subject: oauth.Party{Issuer: "https://id.test", Subject: "john"}, By: ssf.ByAdmin, Reason: "ended by an operator", At: at},
	}
}

// The claims are written out here, so that a changed tag shows.
//
// Covers RFC8417-2.2-02, SSF-4.1-01.
func TestClaims(t *testing.T) {
	t.Parallel()
	verification := ssf.SET{Issuer: "https://id.test", Audience: "app", IssuedAt: at, ID: "set_2", Verified: &ssf.Verified{Stream: "str_1", State: "s"}}
	for name, c := range map[string]struct {
		set  ssf.SET
		want string
	}{
		"revoked": {aSET(), `{"iss":"https://id.test","aud":"app","iat":1893553445,"jti":"set_1","txn":"aud_1",
			"sub_id":{"format":"complex","session":{"format":"opaque","id":"imp_1"},"user":{"format":"iss_sub","iss":"https://id.test","sub":"john"}},
			"events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":
				{"initiating_entity":"admin","event_timestamp":1893553445,"reason_admin":{"en":"ended by an operator"}}}}`},
		"verified": {verification, `{"iss":"https://id.test","aud":"app","iat":1893553445,"jti":"set_2","sub_id":{"format":"opaque","id":"str_1"},
			"events":{"https://schemas.openid.net/secevent/ssf/event-type/verification":{"state":"s"}}}`},
	} {
		raw, err := c.set.Claims()
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := errors.Join(json.Unmarshal(raw, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What is not whole is not sent: above all no SET that names the user alone, which would end all of their sessions.
func TestClaimsRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*ssf.SET){
		"iss": func(s *ssf.SET) { s.Issuer = "" }, "aud": func(s *ssf.SET) { s.Audience = "" }, "jti": func(s *ssf.SET) { s.ID = "" },
		"iat": func(s *ssf.SET) { s.IssuedAt = time.Time{} }, "no event": func(s *ssf.SET) { s.Revoked = nil },
		"two events": func(s *ssf.SET) { s.Verified = new(ssf.Verified) }, "session": func(s *ssf.SET) { s.Revoked.Session = "" },
		"user": func(s *ssf.SET) { s.Revoked.Subject = oauth.Party{} }, "who": func(s *ssf.SET) { s.Revoked.By = "" }, "when": func(s *ssf.SET) { s.Revoked.At = time.Time{} },
	} {
		s := aSET()
		spoil(&s)
		if raw, err := s.Claims(); !errors.Is(err, ssf.ErrSET) {
			t.Errorf("without %s: got %s, %v; want ErrSET", name, raw, err)
		}
	}
}

// goodPolls are bodies that say what is wanted.
var goodPolls = map[string]ssf.PollRequest{
	`{}`:                            {MaxEvents: 100, Wait: 25 * time.Second},
	` {"maxEvents":0} `:             {MaxEvents: 0, Wait: 25 * time.Second},
	`{"maxEvents":100000}`:          {MaxEvents: 100, Wait: 25 * time.Second},
	`{"returnImmediately":true}`:    {MaxEvents: 100, ReturnImmediately: true, Wait: 25 * time.Second},
	`{"ack":["a","b"]}`:             {MaxEvents: 100, Ack: []string{"a", "b"}, Wait: 25 * time.Second},
	`{"ack":[]}`:                    {MaxEvents: 100, Ack: []string{}, Wait: 25 * time.Second},
	`{"understudy_snapshot":true}`:  {MaxEvents: 100, Snapshot: true, Wait: 25 * time.Second},
	`{"understudy_wait":1,"x":[1]}`: {MaxEvents: 100, Wait: time.Second},
	`{"setErrs":{"a":{"err":"authentication_failed","description":"d"}}}`: {MaxEvents: 100, Wait: 25 * time.Second,
		Errors: map[string]ssf.SETError{"a": {Err: "authentication_failed", Description: "d"}}},
}

// badPolls are bodies that break a rule, and what the fault must say.
var badPolls = map[string]string{
	``:                                      "the body must be one JSON object",
	`null`:                                  "must be an object",
	`[]`:                                    "must be an object",
	`"x"`:                                   "must be an object",
	`{} {}`:                                 "the body must be one JSON object",
	`{"ack":["a"]`:                          "the body must be one JSON object",
	"{\"ack\":[\"\xff\"]}":                  "the body must be one JSON object",
	`{"ack":"a"}`:                           "ack: must be an array",
	`{"ack":null}`:                          "ack: must be an array",
	`{"ack":[1]}`:                           "ack: must be a string",
	`{"ack":[null]}`:                        "ack: must be a string",
	`{"ack":["\ud800"]}`:                    "ack: must be a string",
	`{"ack":["` + strings.Repeat("a", 1001): "the body must be one JSON object",
	`{"ack":["` + strings.Repeat("a", 1001) + `"]}`:            "ack: must have at most 1000 bytes",
	`{"ack":[` + strings.Repeat(`"a",`, 1000) + `"a"]}`:        "ack: at most 1000",
	`{"ack":["a"],"ack":[]}`:                                   "two members of one name",
	`{"ack":["a"],"Ack":[]}`:                                   "two members of one name",
	`{"maxEvents":-1}`:                                         "maxEvents: must be a whole number",
	`{"maxEvents":1.5}`:                                        "maxEvents: must be a whole number",
	`{"maxEvents":"1"}`:                                        "maxEvents: must be a whole number",
	`{"maxEvents":null}`:                                       "maxEvents: must be a whole number",
	`{"maxEvents":1e3}`:                                        "maxEvents: must be a whole number",
	`{"returnImmediately":1}`:                                  "returnImmediately: must be true or false",
	`{"returnImmediately":null}`:                               "returnImmediately: must be true or false",
	`{"understudy_snapshot":"true"}`:                           "understudy_snapshot: must be true or false",
	`{"understudy_snapshot":true,"ack":["a"]}`:                 "understudy_snapshot: goes without ack",
	`{"understudy_wait":0}`:                                    "understudy_wait: must be a whole number, 1 to 25",
	`{"understudy_wait":26}`:                                   "understudy_wait: must be a whole number, 1 to 25",
	`{"setErrs":[]}`:                                           "setErrs: must be an object",
	`{"setErrs":{"a":"b"}}`:                                    "setErrs: must be an object",
	`{"setErrs":{"a":{}}}`:                                     "setErrs.err: is required",
	`{"setErrs":{"a":{"err":1}}}`:                              "setErrs.err: must be a string",
	`{"setErrs":{"a":{"err":"x"},"A":{"err":"x"}}}`:            "two members of one name",
	`{"x":"` + strings.Repeat("a", ssf.MaxBody) + `"}`:         fmt.Sprintf("the body may have %d bytes", ssf.MaxBody),
	`{"x":` + strings.Repeat("[", 20000) + `1}`:                "the body must be one JSON object",
	`{"returnImmediately":true,"understudy_wait":99999999999}`: "understudy_wait: must be a whole number",
}

func TestParsePollRequest(t *testing.T) {
	t.Parallel()
	for body, want := range goodPolls {
		got, err := ssf.ParsePollRequest([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	for body, want := range badPolls {
		got, err := ssf.ParsePollRequest([]byte(body))
		if !isFault(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %+v, %v; want a fault that says %q", body, got, err, want)
		}
	}
}

func isFault(err error) bool {
	var f *ssf.Fault
	return errors.As(err, &f)
}

// FuzzPollRequest: whatever stands in a body, the answer is a fault or a request within its bounds, and a fault quotes nothing of it.
func FuzzPollRequest(f *testing.F) {
	for _, body := range slices.Concat(slices.Collect(maps.Keys(goodPolls)), slices.Collect(maps.Keys(badPolls))) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ssf.ParsePollRequest(body)
		if err != nil {
			if !isFault(err) || len(err.Error()) > 120 {
				t.Fatalf("got %v; want a short *Fault", err)
			}
			return
		}
		if r.MaxEvents < 0 || r.MaxEvents > ssf.MaxEvents || len(r.Ack) > ssf.MaxAcks || len(r.Errors) > ssf.MaxAcks || r.Wait < time.Second || r.Wait > ssf.MaxWait ||
			r.Snapshot && len(r.Ack)+len(r.Errors) > 0 || !json.Valid(body) {
			t.Fatalf("%q: got %+v", body, r)
		}
	})
}

func TestPollAnswer(t *testing.T) {
	t.Parallel()
	a := ssf.PollAnswer{Sets: map[string]string{}, State: ssf.State{Epochs: []ssf.Epoch{}}}
	for want, ended := range map[string][]ssf.Ended{
		`{"sets":{},"moreAvailable":false,"understudy_state":{"epochs":[],"vouches":false}}`:                                                nil,
		`{"sets":{},"moreAvailable":false,"understudy_state":{"epochs":[],"vouches":false},"understudy_ended":[]}`:                          {},
		`{"sets":{},"moreAvailable":false,"understudy_state":{"epochs":[],"vouches":false},"understudy_ended":[{"sid":"imp_1","exp":123}]}`: {{"imp_1", 123}},
	} {
		a.Ended = ended
		if got, err := json.Marshal(a); err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

// parsers are those of all requests but polls, by what is asked for.
var parsers = map[string]func(body []byte) (any, error){
	"open":    func(b []byte) (any, error) { return ssf.ParseStreamRequest(b, false) },
	"change":  func(b []byte) (any, error) { return ssf.ParseStreamRequest(b, true) },
	"status":  func(b []byte) (any, error) { return ssf.ParseStatus(b) },
	"verify":  func(b []byte) (any, error) { return ssf.ParseVerifyRequest(b) },
	"subject": func(b []byte) (any, error) { return ssf.ParseSubjectRequest(b) },
}

// others are bodies for parsers, and what comes of them.
var others = []struct {
	ask, body string
	want      any
	fault     string
}{
	{"open", `{}`, ssf.StreamRequest{}, ""},
	{"open", `{"delivery":{"method":"urn:ietf:rfc:8936","endpoint_url":"https://x"},"events_requested":["e"],"description":"d","iss":1}`,
		ssf.StreamRequest{Requested: new([]string{"e"}), Description: new("d")}, ""},
	{"open", `{"stream_id":"s"}`, nil, "stream_id: is for the transmitter"},
	{"open", `{"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"https://x"}}`, nil, "delivery.method: SETs are pushed"},
	{"open", `{"delivery":{}}`, nil, "delivery.method: must be"},
	{"open", `{"delivery":"x"}`, nil, "delivery: must be an object"},
	{"open", `{"events_requested":"x"}`, nil, "events_requested: must be an array"},
	{"open", `{"description":"` + strings.Repeat("d", 256) + `"}`, nil, "description: must have at most 255"},
	{"change", `{"stream_id":"s"}`, ssf.StreamRequest{ID: "s"}, ""},
	{"change", `{}`, nil, "stream_id: is required"},
	{"status", `{"stream_id":"s","status":"paused","reason":"r"}`, ssf.StreamStatus{ID: "s", Status: ssf.Paused, Reason: "r"}, ""},
	{"status", `{"stream_id":"s","status":"off"}`, nil, "status: must be"},
	{"status", `{"status":"paused"}`, nil, "stream_id: is required"},
	{"verify", `{"stream_id":"s","state":"x"}`, ssf.VerifyRequest{ID: "s", State: "x"}, ""},
	{"verify", `{"state":"x"}`, nil, "stream_id: is required"},
	{"verify", `{"stream_id":"s","state":"` + strings.Repeat("d", 256) + `"}`, nil, "state: must have at most 255"},
	{"subject", `{"stream_id":"s","subject":{"format":"opaque","id":"x"},"verified":true}`, "s", ""},
	{"subject", `{"stream_id":"s","subject":{"id":"x"}}`, nil, "subject.format: is required"},
	{"subject", `{"stream_id":"s","subject":"x"}`, nil, "subject: must be an object"},
	{"subject", `{"subject":{"format":"opaque"}}`, nil, "stream_id: is required"},
}

func TestParseOthers(t *testing.T) {
	t.Parallel()
	for _, c := range others {
		got, err := parsers[c.ask]([]byte(c.body))
		if c.fault != "" {
			if !isFault(err) || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: got %+v, %v; want a fault that says %q", c.body, got, err, c.fault)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", c.body, err, diff)
		}
	}
}

// FuzzRequests: whatever stands in the body of a request, the answer is a fault that quotes nothing, or what another reader of JSON sees there,
// within its bounds.
func FuzzRequests(f *testing.F) {
	for _, c := range others {
		f.Add([]byte(c.body))
	}
	members := []string{"", "stream_id", "events_requested", "description", "delivery", "delivery.method", "status", "reason", "state", "verified", "subject", "subject.format"}
	f.Fuzz(func(t *testing.T, body []byte) {
		var seen map[string]any
		object := json.Unmarshal(body, &seen) == nil
		text := func(name string) string {
			s, _ := seen[name].(string)
			return s
		}
		var taken []string
		for ask, parse := range parsers {
			got, err := parse(body)
			if err != nil {
				var fault *ssf.Fault
				if !errors.As(err, &fault) || !slices.Contains(members, fault.Member) || len(fault.Rule) > 100 {
					t.Errorf("%s %q: got %v; want a short *Fault about a member that we know", ask, body, err)
				}
				continue
			}
			taken = append(taken, ask)
			bound := func(name string, most int) {
				if n := len(text(name)); n > most {
					t.Errorf("%s: %s has %d bytes", ask, name, n)
				}
			}
			bound("stream_id", 1000)
			id := text("stream_id")
			var want any
			switch ask {
			case "open", "change":
				r := ssf.StreamRequest{ID: id}
				if all, ok := seen["events_requested"].([]any); ok {
					r.Requested = new(make([]string, len(all)))
					for i, one := range all {
						(*r.Requested)[i], _ = one.(string)
					}
					if len(all) > 32 {
						t.Errorf("%d events are asked for", len(all))
					}
				}
				if s, ok := seen["description"].(string); ok {
					r.Description = &s
				}
				bound("description", 255)
				want = r
			case "status":
				bound("reason", 255)
				want = ssf.StreamStatus{ID: id, Status: ssf.Status(text("status")), Reason: text("reason")}
				if s := text("status"); s != "enabled" && s != "paused" && s != "disabled" {
					t.Errorf("%q is a status", s)
				}
			case "verify":
				bound("state", 255)
				want = ssf.VerifyRequest{ID: id, State: text("state")}
			case "subject":
				want = id
				if subject, _ := seen["subject"].(map[string]any); subject["format"] == nil {
					t.Errorf("%q names a subject", body)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" || !object || len(body) > ssf.MaxBody || (id == "") != (ask == "open") {
				t.Errorf("%s %q: got %+v (-another reader +got):\n%s", ask, body, got, diff)
			}
		}
		if slices.Contains(taken, "open") && len(taken) > 1 {
			t.Errorf("%q is taken for %q", body, taken)
		}
	})
}

// FuzzIDs: a name says the position that it was made for, and a text that says one is its name.
func FuzzIDs(f *testing.F) {
	n := ids("k")
	f.Add("app", int64(1), "")
	f.Add("", int64(-1), n.ID("", 7))
	f.Add("app:", int64(1<<62), n.ID("app", 1))
	f.Fuzz(func(t *testing.T, audience string, position int64, text string) {
		if got, ok := n.Position(audience, n.ID(audience, position)); !ok || got != position {
			t.Errorf("the name of %d for %q says %d, %v", position, audience, got, ok)
		}
		if got, ok := n.Position(audience, text); ok && n.ID(audience, got) != text {
			t.Errorf("%q says %d for %q, and is not its name", text, got, audience)
		}
	})
}

func ids(key string) ssf.IDs {
	return ssf.IDs{Tag: func(data []byte) [32]byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write(data)
		return [32]byte(h.Sum(nil))
	}}
}

// A name says its position to who made it, for the audience alone; every other text says nothing.
func TestIDs(t *testing.T) {
	t.Parallel()
	n, seen := ids("k"), map[string]bool{}
	for _, audience := range []string{"app", "other"} {
		for _, position := range []int64{0, 1, 2, 1 << 40, 1<<63 - 1} {
			id := n.ID(audience, position)
			if seen[id] || len(id) != 30 || id != n.ID(audience, position) {
				t.Errorf("got %s for %s %d; want another, of 30 characters, always the same", id, audience, position)
			}
			seen[id] = true
			if got, ok := n.Position(audience, id); !ok || got != position {
				t.Errorf("%s: got %d, %v; want %d", id, got, ok, position)
			}
			for what, try := range map[string]func() (int64, bool){
				"another's":   func() (int64, bool) { return n.Position(audience+"x", id) },
				"another key": func() (int64, bool) { return ids("q").Position(audience, id) },
				"cut":         func() (int64, bool) { return n.Position(audience, id[:29]) },
				"longer":      func() (int64, bool) { return n.Position(audience, id+"a") },
				"upper case":  func() (int64, bool) { return n.Position(audience, strings.ToUpper(id)) },
				"bent":        func() (int64, bool) { return n.Position(audience, "set_"+strings.Map(bend, id[4:])) },
				"empty":       func() (int64, bool) { return n.Position(audience, "") },
			} {
				if got, ok := try(); ok {
					t.Errorf("%s of %s says %d", what, id, got)
				}
			}
		}
	}
}

func bend(c rune) rune {
	if c == 'a' {
		return 'b'
	}
	return 'a'
}
