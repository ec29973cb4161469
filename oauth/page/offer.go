package page

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
)

var (
	// lengths are the minutes on offer.
	lengths = []int{15, 30, 60}
	// shorter are tried where a role allows none of those; the first that fits is then the only one.
	shorter = []int{10, 5, 1}
)

// usual is the length that is chosen beforehand, where it can be had.
const usual = int(policy.DefaultDuration / time.Minute)

// offer is what one actor could have of one subject in one mode.
type offer struct {
	Minutes []int  // rising; nil: nothing
	Advice  string // why nothing, fit for a page; may be ""
}

func (o offer) most() int {
	if len(o.Minutes) == 0 {
		return 0
	}
	return o.Minutes[len(o.Minutes)-1]
}

// offers is what can be had of one subject.
type offers struct{ Read, Write offer }

func (o offers) any() bool { return o.Read.Minutes != nil || o.Write.Minutes != nil }

func (o offers) of(m oauth.Mode) offer {
	switch m {
	case oauth.ModeRead:
		return o.Read
	case oauth.ModeWrite:
		return o.Write
	}
	return offer{}
}

// minutes is what either mode has, rising.
func (o offers) minutes() []int {
	all := slices.Concat(o.Read.Minutes, o.Write.Minutes)
	slices.Sort(all)
	return slices.Compact(all)
}

// nameOf is the sub by which the client knows u, "" for whom it cannot know.
func (v *visit) nameOf(u directory.User) string {
	return impersonation.NameAt(v.client.Policy.SubjectIssuer, impersonation.PersonOf(v.p.cfg.Issuer, u))
}

// offersFor asks the decider, without a reason yet, what of u is on offer. Of whom no token could tell it is nothing.
func (v *visit) offersFor(u directory.User) offers {
	if v.nameOf(u) == "" {
		return offers{}
	}
	subject := impersonation.PersonOf(v.p.cfg.Issuer, u)
	return offers{Read: v.offerFor(subject, oauth.ModeRead), Write: v.offerFor(subject, oauth.ModeWrite)}
}

func (v *visit) offerFor(subject policy.Person, mode oauth.Mode) (o offer) {
	for _, m := range lengths {
		if d := v.preview(subject, mode, m); d.Allow {
			o.Minutes = append(o.Minutes, m)
		} else if o.Advice == "" {
			o.Advice = d.Advice
		}
	}
	for _, m := range shorter {
		if o.Minutes == nil && v.preview(subject, mode, m).Allow {
			o.Minutes = []int{m}
		}
	}
	return o
}

// preview asks whether so many minutes could be had. An answer of fewer is a no: what is shown is what will be given.
func (v *visit) preview(subject policy.Person, mode oauth.Mode, minutes int) policy.Decision {
	d := v.p.cfg.Decider.Decide(v.r.Context(), policy.Request{
		Actor: v.actor, ActorKind: oauth.ActorUser, Subject: subject,
		Client: v.client.Policy, Resource: v.resource, Mode: mode, Scopes: v.scope, Duration: time.Duration(minutes) * time.Minute,
		AuthTime: v.who.Login.AuthTime, ACR: v.who.Login.ACR, AMR: v.who.Login.AMR,
		Via: policy.ViaPage, Now: v.p.cfg.Now(), Preview: true,
	})
	d.Allow = d.Allow && d.MaxDuration >= time.Duration(minutes)*time.Minute
	return d
}

// chosen reads who is meant: what a link says is the client's name for them, what the form says their ID.
func (v *visit) chosen(ctx context.Context) (directory.User, error) {
	switch issuer := v.client.Policy.SubjectIssuer; {
	case v.user != "":
		return v.p.cfg.Directory.Get(ctx, v.user)
	case issuer != "":
		return v.p.cfg.Directory.ByIdentity(ctx, oauth.Party{Issuer: issuer, Subject: v.subject})
	}
	return v.p.cfg.Directory.Get(ctx, v.subject)
}

// choose finds the subject and what is on offer. known is false alike for who does not exist and for who cannot be had:
// the page must not tell them apart (a list of who exists is worth something to a stranger).
func (v *visit) choose(ctx context.Context) (u directory.User, o offers, known bool, err error) {
	u, err = v.chosen(ctx)
	if errors.Is(err, directory.ErrNotFound) {
		return u, o, false, nil
	}
	if err != nil {
		return u, o, false, err
	}
	o = v.offersFor(u)
	return u, o, o.any(), nil
}
