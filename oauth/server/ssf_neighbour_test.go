package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/understudy-id/understudy/oauth/store"
)

// TestStreamOfAnotherProcess: who has a token of the client, and no more, hears nothing in the place of a process of it, and acknowledges
// nothing for it: neither by what the streams say of themselves, nor with the secret of a stream of their own.
func TestStreamOfAnotherProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r, own := h.receive("app"), h.receive("app")
		var list []struct {
			ID       string `json:"stream_id"`
			Delivery struct {
				URL string `json:"endpoint_url"`
			} `json:"delivery"`
		}
		h.must(json.Unmarshal([]byte(own.call(http.MethodGet, "/ssf/streams", "").body), &list))
		ends := h.endMany("app", 1)
		told := own.now()
		if len(told.Sets) != 1 {
			t.Fatalf("got %+v; want one SET", told)
		}
		_, secret, _ := strings.Cut(own.url, ".")
		ways := []string{"/ssf/poll/" + r.id, "/ssf/poll/" + r.id + ".", "/ssf/poll/" + r.id + "." + secret, r.url + "A", r.url[:len(r.url)-1]}
		for _, n := range list {
			ways = append(ways, strings.TrimPrefix(n.Delivery.URL, h.issuer))
		}
		if len(ways) != 7 {
			t.Fatalf("got the ways %q; want those of both streams among them", ways)
		}
		for _, way := range ways {
			for _, body := range []string{`{"returnImmediately":true,"understudy_snapshot":true}`, ackOf(told)} {
				if got := own.call(http.MethodPost, way, body); got.status != http.StatusNotFound {
					t.Errorf("%s %s: got %d %s; want 404", way, body, got.status, got.body)
				}
			}
		}
		r.wantTold("whose stream it is", r.now(), false, ends[0])
	})
}

// withoutStreams cannot read streams once it is away.
type withoutStreams struct {
	store.Store
	away atomic.Bool
}

func (w *withoutStreams) Stream(ctx context.Context, id string) (store.Stream, error) {
	if w.away.Load() {
		return store.Stream{}, store.ErrUnavailable
	}
	return w.Store.Stream(ctx, id)
}

// TestPollSecretIsNotLogged: what goes wrong at a poll is logged with its path, but for the secret.
func TestPollSecretIsNotLogged(t *testing.T) {
	t.Parallel()
	w := new(withoutStreams)
	h := setup(t, options{}.wrapped(func(s store.Store) store.Store { w.Store = s; return w }))
	r := h.receive("app")
	w.away.Store(true)
	if got := r.call(http.MethodPost, r.url, `{"returnImmediately":true}`); got.status != http.StatusServiceUnavailable {
		t.Fatalf("got %d %s; want 503", got.status, got.body)
	}
	_, secret, _ := strings.Cut(r.url, ".")
	if logs := h.logs.String(); !strings.Contains(logs, "path=/ssf/poll/"+r.id+" ") || secret == "" || strings.Contains(logs, secret) {
		t.Errorf("the log says\n%s", logs)
	}
}
