// Package scim is SCIM 2.0 (RFC 7643, RFC 7644) as a service provider: the door by which a company's identity provider, such as Okta or
// Entra, makes, changes, disables and deletes users and groups here. Start with [New] and mount the [Handler] at [Path]. Who may come in
// is a store.Source, by one of its bearer tokens; it sees and changes what it made itself, and nothing else exists for it. What it says
// gives nobody a right: roles come from whoever works here, and a group that confers one is closed to a source that does not hold
// store.Source.MayGrant. Whom it disables or deletes is out at once, in the transaction that says so.
//
// The package makes no user sign in, reads no password, and knows neither how many requests a stranger may make nor the pages: that is
// the server's.
package scim

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/pace"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// Path is where a Handler must be mounted, below its issuer.
const Path = "/scim/v2/"

const mediaType = "application/scim+json" // RFC 7644 §8.1

// Store is what a Handler asks for; store.Store has it all.
type Store interface {
	SourceByToken(ctx context.Context, token oauth.Hash, now time.Time) (store.Source, store.SourceToken, error)
	TouchSourceToken(ctx context.Context, id string, now time.Time) error
	UsersOf(ctx context.Context, q store.UserQuery) (page []directory.User, total int, err error)
	Group(ctx context.Context, source, id string) (store.Group, error)
	GroupsOf(ctx context.Context, q store.GroupQuery) (page []store.Group, total int, err error)
	Members(ctx context.Context, groupID, after string, limit int) ([]store.Member, error)
	CreateGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error)
	ChangeGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error)
	DeleteGroup(ctx context.Context, w store.GroupWrite) (store.GroupChange, error)
	Get(ctx context.Context, id string) (directory.User, error)
	CreateUser(ctx context.Context, w store.UserWrite) error
	UpdateUser(ctx context.Context, w store.UserWrite) error
	DeleteUser(ctx context.Context, w store.UserWrite) error
}

// Config is what New needs.
type Config struct {
	// Issuer is the public URL, without a slash at its end: locations are below it and Path. Must be set.
	Issuer string
	// Store must be set.
	Store Store
	// Registry says which groups confer a role, and which users have rights that a source must not take over.
	Registry policy.Registry
	// Failed counts a token that does not count, and tells for how long its sender must wait before the next; 0 for not at all. Nil
	// counts nothing.
	Failed func(*http.Request) time.Duration
	// Wait tells for how long the sender must wait, and counts nothing. It is asked before a token that has not counted yet, as far as
	// this Handler knows, is looked up: a source that is new to the process waits with whoever guesses at its address. Nil is not at all.
	Wait func(*http.Request) time.Duration
	// Refused puts on record that a rule refused a write of a source, or left a part of it out. Nil records nothing.
	Refused func(context.Context, impersonation.SourceRefusal)
	// RequestID is the id under which a request is known in log and trail. Nil gives none.
	RequestID func(context.Context) string
	// Logger defaults to slog.Default, Now to time.Now.
	Logger *slog.Logger
	Now    func() time.Time
}

// Handler answers the requests of sources. Make it with New; it is safe for concurrent use.
type Handler struct {
	issuer    string
	store     Store
	registry  policy.Registry
	failed    func(*http.Request) time.Duration
	wait      func(*http.Request) time.Duration
	counted   sync.Map // by oauth.Hash: tokens that counted once; the store is asked whether they still do
	refused   func(context.Context, impersonation.SourceRefusal)
	requestID func(context.Context) string
	log       *slog.Logger
	now       func() time.Time
	mux       *http.ServeMux
	most      int          // members in one answer
	warnings  *pace.Limits // of lines, by source
	refusals  *pace.Limits // by source
}

// New makes a handler.
func New(c Config) (*Handler, error) {
	if c.Issuer == "" || c.Store == nil {
		return nil, errors.New("scim: Issuer and Store must be set")
	}
	h := &Handler{issuer: c.Issuer, store: c.Store, registry: c.Registry, failed: c.Failed, wait: c.Wait, refused: c.Refused, requestID: c.RequestID, log: c.Logger, now: c.Now, mux: http.NewServeMux(), most: maxAnswered, warnings: pace.New(warningsPerMinute), refusals: pace.New(refusalsPerMinute)}
	if h.failed == nil {
		h.failed = func(*http.Request) time.Duration { return 0 }
	}
	if h.wait == nil {
		h.wait = func(*http.Request) time.Duration { return 0 }
	}
	if h.refused == nil {
		h.refused = func(context.Context, impersonation.SourceRefusal) {}
	}
	if h.requestID == nil {
		h.requestID = func(context.Context) string { return "" }
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	if h.now == nil {
		h.now = time.Now
	}
	h.routes()
	return h, nil
}

// call is a request of a source, known by its token.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	source store.Source
	token  string // SourceToken.ID
	user   string // ID of the user whom it is about, once found
}

// methods are what a route answers, by method.
type methods map[string]func(*call) (*answer, error)

func (h *Handler) routes() {
	for route, m := range map[string]methods{
		"Users":                 {http.MethodGet: h.listUsers, http.MethodPost: h.limited(h.createUser)},
		"Users/{id}":            {http.MethodGet: h.getUser, http.MethodPut: h.putUser, http.MethodPatch: h.patchUser, http.MethodDelete: h.deleteUser},
		"Users/.search":         {http.MethodPost: h.searchUsers},
		"Groups":                {http.MethodGet: h.listGroups, http.MethodPost: h.limited(h.createGroup)},
		"Groups/{id}":           {http.MethodGet: h.getGroup, http.MethodPut: h.limited(h.putGroup), http.MethodPatch: h.limited(h.patchGroup), http.MethodDelete: h.limited(h.deleteGroup)},
		"Groups/.search":        {http.MethodPost: h.searchGroups},
		"ServiceProviderConfig": {http.MethodGet: h.serviceProviderConfig},
		"ResourceTypes":         {http.MethodGet: h.resourceTypes},
		"ResourceTypes/{id}":    {http.MethodGet: h.resourceType},
		"Schemas":               {http.MethodGet: h.schemas},
		"Schemas/{id}":          {http.MethodGet: h.schema},
		"Bulk":                  {http.MethodPost: unsupported},
		"Me":                    {http.MethodGet: unsupported, http.MethodPost: unsupported, http.MethodPut: unsupported, http.MethodPatch: unsupported, http.MethodDelete: unsupported},
		".search":               {http.MethodPost: unsupported},
	} {
		h.mux.HandleFunc(Path+route, h.answering(m.answer))
	}
	h.mux.HandleFunc("/", h.answering(func(*call) (*answer, error) { return nil, errNotFound }))
}

// unsupported answers what RFC 7644 §3.12 has 501 for: /Bulk, /Me, and a search through all kinds of resource at once.
func unsupported(*call) (*answer, error) {
	return nil, &fault{Status: http.StatusNotImplemented, Detail: "This is not supported; see ServiceProviderConfig."}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, r)
}

// answering knows who asks before anything else is looked at.
func (h *Handler) answering(run func(*call) (*answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		source, token, err := h.authenticate(r)
		if err != nil {
			h.writeFault(w, r, "", err)
			return
		}
		c := &call{w: w, r: r, source: source, token: token.ID}
		a, err := run(c)
		if err != nil {
			h.recordFault(c, toFault(err))
			h.writeFault(w, r, source.Name, err)
			return
		}
		a.write(w, r)
	}
}

func (m methods) answer(c *call) (*answer, error) {
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if run := m[method]; run != nil {
		return run(c)
	}
	c.w.Header().Set("Allow", m.allowed())
	return nil, &fault{Status: http.StatusMethodNotAllowed, Detail: "This method is not one of those in Allow."}
}

func (m methods) allowed() string {
	var out []string
	for _, name := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if m[name] != nil {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// clock is now in whole milliseconds, UTC: what a store keeps.
func (h *Handler) clock() time.Time { return h.now().UTC().Truncate(time.Millisecond) }
