package server

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/outbound"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const (
	// tellEvery is how often the store is asked what clients are to be told, whoever wrote it: an end is known at once.
	tellEvery = 100 * time.Millisecond
	// tellWithin is how long a client may take to answer.
	tellWithin = 5 * time.Second
	// tellLease is how long a try may take with all its writes; then another server may take over.
	tellLease = 15 * time.Second
	// tellFor is how long is tried: the longest impersonation would be over by then.
	tellFor = policy.MaxDuration
)

// teller tells clients what is over (OpenID Connect Back-Channel Logout 1.0). The store says what that is, and the transaction that
// ended it wrote it there: what is under way when a server dies comes again, with the same jti.
type teller struct {
	s         *Server
	http      *http.Client
	receivers *receivers
	done      chan struct{} // there is room again
	trouble   rate.Sometimes
}

// newTeller reaches clients on public addresses and in the networks of allow; and on this machine if browsers reach us there.
func newTeller(s *Server, allow []netip.Prefix) *teller {
	return &teller{
		s: s, http: outbound.New(outbound.Config{Allow: allow, Loopback: s.local()}), receivers: newReceivers(), done: make(chan struct{}, 1),
		trouble: rate.Sometimes{Interval: 10 * time.Second},
	}
}

// local reports whether the issuer is on this machine.
func (s *Server) local() bool {
	u, err := url.Parse(s.issuer)
	return err == nil && oauth.Loopback(u.Hostname())
}

// run tells until ctx ends, and returns when nothing is under way any more. What was is put back for another server.
func (t *teller) run(ctx context.Context) {
	var trying sync.WaitGroup
	defer trying.Wait()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-t.done:
		}
		for t.begin(ctx, &trying) {
		}
	}
}

// begin starts what there is room for, and reports whether that was anything.
func (t *teller) begin(ctx context.Context, trying *sync.WaitGroup) bool {
	now := t.s.clock()
	room, busy := t.receivers.room(now)
	if room == 0 {
		return false
	}
	due, err := t.s.store.LeaseNotices(ctx, now, now.Add(tellLease), busy, room)
	if err != nil {
		if ctx.Err() == nil {
			t.trouble.Do(func() { t.s.log.WarnContext(ctx, "looking for clients to be told of an end failed", "error", err) })
		}
		return false
	}
	for _, n := range due {
		t.receivers.begin(n.Client)
		trying.Go(func() {
			t.tell(ctx, n)
			t.receivers.end(n.Client)
			select {
			case t.done <- struct{}{}:
			default:
			}
		})
	}
	return len(due) > 0
}

// tell tries once, and writes down what comes of it.
func (t *teller) tell(ctx context.Context, n store.Notice) {
	status, err := t.post(ctx, n)
	left, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	switch {
	case err == nil && (status == http.StatusOK || status == http.StatusNoContent):
		t.receivers.reached(n.Client)
		err = t.s.store.DropNotice(left, n.ID)
	case err == nil && (status == http.StatusBadRequest || status == http.StatusNotImplemented):
		// §2.8: it understood and will not. To say it again would change nothing.
		t.s.log.WarnContext(ctx, "a client refused a logout token", "client", n.Client, "session", n.Session, "status", status)
		t.receivers.reached(n.Client)
		err = t.s.store.DropNotice(left, n.ID)
	case ctx.Err() != nil:
		err = t.s.store.DelayNotice(left, n.ID, t.s.clock())
	case errors.Is(err, errNoURI):
		err = t.s.store.DropNotice(left, n.ID)
	default:
		err = t.failed(left, n, status, err)
	}
	if err != nil { // the lease will be over, and the notice comes again
		t.trouble.Do(func() { t.s.log.WarnContext(ctx, "writing down that a client was told of an end failed", "error", err) })
	}
}

// failed puts n off, or gives up all of the client's that have waited for too long.
func (t *teller) failed(ctx context.Context, n store.Notice, status int, why error) error {
	now := t.s.clock()
	until, first := t.receivers.failed(n.Client, now)
	if first {
		t.s.log.WarnContext(ctx, "a client cannot be told of an end; trying again", "client", n.Client, "session", n.Session, "status", status, "error", why)
	}
	if now.Sub(n.Created) < tellFor {
		return t.s.store.DelayNotice(ctx, n.ID, until)
	}
	lost, err := t.s.store.DropOldNotices(ctx, n.Client, now.Add(-tellFor))
	if err == nil {
		t.s.log.WarnContext(ctx, "a client was not told of ends; giving up", "client", n.Client, "notices", lost, "status", status, "error", why)
	}
	return err
}

var (
	errNoURI  = errors.New("the client has no back-channel logout URI any more")
	errBadURI = errors.New("the client's back-channel logout URI must be https, or on loopback http where the issuer is too")
)

// post sends a logout token and gives the status of the answer.
func (t *teller) post(ctx context.Context, n store.Notice) (status int, err error) {
	uri := n.Settings.BackchannelLogoutURI
	switch {
	case uri == "":
		return 0, errNoURI
	case !t.s.postsTo(uri):
		return 0, errBadURI
	}
	token, err := t.s.keys().SignLogoutToken(n.Settings.IDTokenAlg, tokens.LogoutToken{
		Issuer: t.s.issuer, Audience: n.Client, Session: n.Session, ID: noticeID(n), IssuedAt: t.s.clock(),
	})
	if err != nil {
		return 0, fmt.Errorf("signing a logout token: %w", err)
	}
	return post(ctx, t.http, uri, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, url.Values{"logout_token": {token}}.Encode())
}

// noticeID is the jti of a logout token: the same at each try, so that a client may take one for all.
func noticeID(n store.Notice) string {
	sum := sha256.Sum256([]byte(n.Client + "\x00" + n.Session))
	return "out_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}
