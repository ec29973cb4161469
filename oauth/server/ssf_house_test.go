package server_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	uriRevoked      = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	uriVerification = "https://schemas.openid.net/secevent/ssf/event-type/verification"
)

// receiver is one process of a client that hears of its sessions.
type receiver struct {
	*house
	client, token string
	id, url       string         // of its stream
	config        map[string]any // as it was opened
	seen          map[string]bool
}

// receive opens a stream of client, and takes the snapshot that it begins with.
func (h *house) receive(client string) *receiver {
	h.t.Helper()
	r := h.receiverOf(client)
	r.openStream()
	if first := r.poll(`{"returnImmediately":true,"understudy_snapshot":true}`); first.Ended == nil || len(first.Sets) > 0 {
		h.t.Fatalf("the first answer of a stream: got %+v; want a snapshot", first)
	}
	return r
}

// receiverOf is one without a stream.
func (h *house) receiverOf(client string) *receiver {
	h.t.Helper()
	r := h.own(client, url.Values{"scope": {"ssf"}})
	if r.status != http.StatusOK || r.str("scope") != "ssf" {
		h.t.Fatalf("a token to receive: got %d %s", r.status, r.body)
	}
	return &receiver{house: h, client: client, token: r.str("access_token"), seen: map[string]bool{}}
}

func (r *receiver) openStream() {
	r.t.Helper()
	opened := r.call(http.MethodPost, "/ssf/streams", `{"delivery":{"method":"urn:ietf:rfc:8936"}}`)
	if opened.status != http.StatusCreated {
		r.t.Fatalf("opening a stream: got %d %s", opened.status, opened.body)
	}
	r.config, r.id = opened.json, opened.str("stream_id")
	endpoint, _ := opened.json["delivery"].(map[string]any)["endpoint_url"].(string)
	path, ours := strings.CutPrefix(endpoint, r.issuer)
	if !ours {
		r.t.Fatalf("the stream is polled at %q; want a URL of the issuer", endpoint)
	}
	r.url = path
}

// call is a request with the receiver's token.
func (r *receiver) call(method, path, body string) reply {
	r.t.Helper()
	return r.callAs("Bearer "+r.token, method, path, body)
}

func (r *receiver) callAs(authorization, method, path, body string) reply {
	r.t.Helper()
	req, err := http.NewRequest(method, r.house.url+path, strings.NewReader(body))
	r.must(err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if method != http.MethodGet && method != http.MethodDelete {
		req.Header.Set("Content-Type", "application/json")
	}
	return r.do(req)
}

// polled is the answer to a poll.
type polled struct {
	Sets          map[string]string `json:"sets"`
	MoreAvailable *bool             `json:"moreAvailable"`
	State         *struct {
		Epochs []struct {
			Scope, ID string
		} `json:"epochs"`
		Vouches *bool `json:"vouches"`
	} `json:"understudy_state"`
	Ended []struct {
		Session string `json:"sid"`
		Expires int64  `json:"exp"`
	} `json:"understudy_ended"`
}

// poll demands an answer.
func (r *receiver) poll(body string) polled {
	r.t.Helper()
	return r.read(r.call(http.MethodPost, r.url, body))
}

func (r *receiver) read(got reply) (a polled) {
	r.t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(got.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); got.status != http.StatusOK || err != nil || a.Sets == nil || a.MoreAvailable == nil || a.State == nil || a.State.Epochs == nil || a.State.Vouches == nil {
		r.t.Fatalf("a poll: got %d %s, %v; want an answer", got.status, got.body, err)
	}
	return a
}

// now polls without a wait, and acknowledges nothing.
func (r *receiver) now() polled {
	r.t.Helper()
	return r.poll(`{"returnImmediately":true}`)
}

// ack acknowledges what is in a.
func (r *receiver) ack(a polled) polled {
	r.t.Helper()
	return r.poll(ackOf(a))
}

func ackOf(a polled) string {
	b, _ := json.Marshal(map[string]any{"returnImmediately": true, "ack": append([]string{}, slices.Collect(maps.Keys(a.Sets))...)})
	return string(b)
}

// hears waits for the end of a session, acknowledges it, and gives the claims of its SET.
func (r *receiver) hears(sid string) map[string]any {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		a := r.poll(`{"understudy_wait":1}`)
		for _, set := range a.Sets {
			c := r.verified(set)
			if id := c["sub_id"].(map[string]any)["session"]; id != nil && id.(map[string]any)["id"] == sid {
				r.ack(a)
				return c
			}
		}
		r.ack(a)
	}
	r.t.Fatalf("no SET tells of the end of %s", sid)
	return nil
}

// sessions are those that a tells of, in no order.
func (r *receiver) sessions(a polled) (out []string) {
	r.t.Helper()
	for _, set := range a.Sets {
		_, c := claims(r.t, set)
		out = append(out, c["sub_id"].(map[string]any)["session"].(map[string]any)["id"].(string))
	}
	slices.Sort(out)
	return out
}

// verified reads a SET as a receiver must: by a key of the JWKS that the metadata name.
func (r *receiver) verified(set string) map[string]any {
	r.t.Helper()
	return r.verifiedBy(set, jose.ES256, jose.RS256, jose.EdDSA)
}

func (r *receiver) verifiedBy(set string, algorithms ...jose.SignatureAlgorithm) map[string]any {
	r.t.Helper()
	uri, _ := strings.CutPrefix(r.get("/.well-known/ssf-configuration", "").str("jwks_uri"), r.issuer)
	var keys jose.JSONWebKeySet
	r.must(json.Unmarshal([]byte(r.get(uri, "").body), &keys))
	parsed, err := jose.ParseSignedCompact(set, algorithms)
	if err != nil {
		r.t.Fatalf("a SET: %v", err)
	}
	header := parsed.Signatures[0].Header
	if header.ExtraHeaders[jose.HeaderType] != "secevent+jwt" || len(keys.Key(header.KeyID)) != 1 {
		r.t.Fatalf("a SET with the header %+v; want typ secevent+jwt and a published kid", header)
	}
	payload, err := parsed.Verify(keys.Key(header.KeyID)[0])
	if err != nil {
		r.t.Fatalf("a SET: %v", err)
	}
	var c map[string]any
	r.must(json.Unmarshal(payload, &c))
	return c
}

// revokedEvent is the one event of a SET.
func revokedEvent(t testing.TB, c map[string]any) map[string]any {
	t.Helper()
	events, _ := c["events"].(map[string]any)
	event, ok := events[uriRevoked].(map[string]any)
	if len(events) != 1 || !ok {
		t.Fatalf("events %v; want %s alone", c["events"], uriRevoked)
	}
	return event
}
