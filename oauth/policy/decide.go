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

// Decide answers q in four steps, and the first that refuses ends it: the nevers, which no registry lifts; what the
// client and its resource allow; the actor's roles, of which the first that covers the request decides; and the scopes
// that are left. It is arithmetic over its arguments, never blocks, and calls nothing that could panic, so there is no recover:
// that would turn a mistake of ours into a denial that nobody looks into.
func (r *Rules) Decide(ctx context.Context, q Request) Decision {
	if ctx.Err() != nil {
		return r.deny(&errContext)
	}
	if refused := r.never(&q); refused != nil {
		return r.deny(refused)
	}
	resource, refused := r.target(&q)
	if refused != nil {
		return r.deny(refused)
	}
	role, refused := r.decidingRole(&q)
	if refused != nil {
		return r.deny(refused)
	}
	scopes := r.scopes(&q, resource, role.Impersonate)
	if len(scopes) == 0 {
		return r.deny(&scopeNone)
	}
	return Decision{
		Allow: true, Mode: q.Mode, Scopes: scopes, Resource: resource.URI,
		MaxDuration: min(q.Duration, role.Impersonate.longest()),
		Version:     r.version, Rules: []string{allowRole + role.Name},
	}
}

func (r *Rules) deny(why *rule) Decision {
	d := Decision{Version: r.version, Rules: []string{why.id}, Advice: why.advice, Refusal: why.refusal}
	if why.need != "" {
		d.Need = []Need{why.need}
	}
	return d
}
