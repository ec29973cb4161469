package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Options are rules for the whole installation, beside its registry.
type Options struct {
	// RequireSecondFactor asks that the actor signed in with one: "mfa" in AMR (RFC 8176).
	RequireSecondFactor bool `json:"require_second_factor"`
	// MaxAuthAge is how long ago the actor may have signed in. Zero: any time.
	MaxAuthAge time.Duration `json:"max_auth_age"`
}

// Rules is the Decider that this project ships. Make it with New. It is immutable, and safe for concurrent use.
type Rules struct {
	registry Registry
	options  Options
	version  string
}

var _ Decider = (*Rules)(nil)

// New returns the Decider for reg, or what Validate says against it. It keeps reg: do not change it afterwards.
func New(reg Registry, o Options) (*Rules, error) {
	if err := reg.Validate(); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if o.MaxAuthAge < 0 {
		return nil, fmt.Errorf("policy: Options.MaxAuthAge: %v, must not be negative", o.MaxAuthAge)
	}
	r := &Rules{registry: reg, options: o}
	r.version = version(r.Document())
	return r, nil
}

// Document is all that the rules go by, as JSON: what a policy version stands for. Without options it is the registry's.
func (r *Rules) Document() []byte {
	if r.options == (Options{}) {
		return r.registry.Document()
	}
	b, err := json.Marshal(struct {
		Options  Options         `json:"options"`
		Registry json.RawMessage `json:"registry"`
	}{r.options, r.registry.Document()})
	if err != nil {
		panic(fmt.Errorf("policy: encoding values of our own: %w", err))
	}
	return b
}

// Version names Document, as Registry.Version does: every Decision carries it.
func (r *Rules) Version() string { return r.version }

// Options gives what New was given.
func (r *Rules) Options() Options { return r.options }

// Registry gives what New was given.
func (r *Rules) Registry() Registry { return r.registry }

// Decide answers q in six steps, and the first that refuses ends it: what the client and its resource allow, and how the actor
// signed in, which come first since they tell nothing of the subject; the nevers, which no registry lifts; what the way in asks; the
// actor's roles, of which the first that covers the request decides, or for an actor that is no person the subject's consent alone; and
// the scopes that are left. It is arithmetic over its arguments, never blocks, and calls nothing that could panic, so there is no recover:
// that would turn a mistake of ours into a denial that nobody looks into.
func (r *Rules) Decide(ctx context.Context, q Request) Decision {
	if ctx.Err() != nil {
		return r.deny(&errContext)
	}
	resource, refused := r.target(&q)
	if refused != nil {
		return r.deny(refused)
	}
	if !r.offers(&q, resource) {
		return r.deny(&scopeNone)
	}
	if refused := r.signedIn(&q); refused != nil {
		d := r.deny(refused)
		d.MaxAuthAge, d.SecondFactor = r.maxAuthAge(&q), r.options.RequireSecondFactor
		return d
	}
	if refused := r.never(&q); refused != nil {
		return r.deny(refused)
	}
	if refused := r.door(&q); refused != nil {
		return r.deny(refused)
	}
	bounds, allowed, refused := r.bounds(&q)
	if refused != nil {
		return r.deny(refused)
	}
	scopes := r.scopes(&q, resource, bounds)
	if len(scopes) == 0 {
		d := r.deny(&scopeNone)
		if q.Via == ViaUserID { // a guess at an id must not learn what somebody of that id could get
			d.Refusal = RefusalPolicy
		}
		return d
	}
	d := Decision{
		Allow: true, Mode: q.Mode, Scopes: scopes, Resource: resource.URI, MaxDuration: min(q.Duration, bounds.longest()),
		Version: r.version, Rules: allowed,
	}
	if q.Via == ViaToken {
		d.ValidUntil = q.Consent.Until
	}
	return d
}

// bounds gives what the actor may do, and the rules that say so.
func (r *Rules) bounds(q *Request) (m *Impersonate, allowed []string, refused *rule) {
	if q.ActorKind.Machine() {
		m, refused = r.machine(q)
	} else {
		var role *Role
		if role, refused = r.decidingRole(q); refused == nil {
			m, allowed = role.Impersonate, []string{allowRole + role.Name}
		}
	}
	if q.Via == ViaToken && refused == nil {
		allowed = append(allowed, allowConsent+q.Consent.ID)
	}
	return m, allowed, refused
}

func (r *Rules) deny(why *rule) Decision {
	d := Decision{Version: r.version, Rules: []string{why.id}, Advice: why.advice, Refusal: why.refusal}
	if why.need != "" {
		d.Need = []Need{why.need}
	}
	return d
}
