package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/scim"
	"github.com/understudy-id/understudy/oauth/store"
)

// SourceSettings says what a source of SCIM may do, and what its users are; see store.Source.
type SourceSettings struct {
	// Organisation is at most 255 bytes.
	Organisation string
	// OrganisationAttribute is an attribute of a user that scim.IsText has, and not for a source with an Organisation.
	OrganisationAttribute string
	// Issuer is an https URL, exactly as the iss claim has it, or "".
	Issuer             string
	MayGrant, MayStaff bool
}

// AddSource adds a source of SCIM without a token, or brings back one that was removed, which then has its users and groups again. name
// is 1 to 32 of a-z, 0-9 and "-". It returns an *InvalidError, or store.ErrExists.
func (a *Admin) AddSource(ctx context.Context, name string, settings SourceSettings) (store.Source, error) {
	w := a.write(audit.KindSourceAdd, directory.User{}, nil)
	s := settings.put(store.Source{Name: name, Created: w.Now, Updated: w.Now})
	if err := a.checkSource(s); err != nil {
		return s, err
	}
	setSource(&w.Entries[0], "", s)
	if err := a.Store.CreateSource(ctx, store.SourceWrite{Write: w, Source: s}); err != nil {
		return s, fmt.Errorf("adding source %s: %w", name, err)
	}
	a.log(ctx, "added source "+name, slog.String("source", name))
	return s, nil
}

// ChangeSource changes what change makes of a source's settings. Users keep what they have until the source next sends them; what it may
// do is other at once. Without a change nothing is written. It returns an *InvalidError or store.ErrNotFound.
func (a *Admin) ChangeSource(ctx context.Context, name string, change func(*SourceSettings)) (s store.Source, err error) {
	for range tries {
		if s, err = a.changeSource(ctx, name, change); !errors.Is(err, impersonation.ErrChanged) {
			break
		}
	}
	return s, err
}

func (a *Admin) changeSource(ctx context.Context, name string, change func(*SourceSettings)) (store.Source, error) {
	was, err := a.Source(ctx, name)
	if err != nil {
		return was, err
	}
	settings := settingsOf(was)
	change(&settings)
	if settings == settingsOf(was) {
		return was, nil
	}
	w := a.write(audit.KindSourceChange, directory.User{}, nil)
	s := settings.put(was)
	if s.Updated = w.Now; !s.Updated.After(was.Updated) {
		s.Updated = was.Updated.Add(time.Millisecond) // the store's resolution, as with a user
	}
	if err := a.checkSource(s); err != nil {
		return s, err
	}
	setSource(&w.Entries[0], "was_", was)
	setSource(&w.Entries[0], "", s)
	if err := a.Store.ChangeSource(ctx, store.SourceWrite{Write: w, Source: s, Was: was.Updated}); err != nil {
		return s, fmt.Errorf("changing source %s: %w", name, err)
	}
	a.log(ctx, "changed source "+name, slog.String("source", name))
	return s, nil
}

// Source finds one that is not removed. store.ErrNotFound.
func (a *Admin) Source(ctx context.Context, name string) (store.Source, error) {
	s, err := a.Store.Source(ctx, name)
	if err == nil && !s.Removed.IsZero() {
		err = store.ErrNotFound
	}
	if err != nil {
		return s, fmt.Errorf("source %s: %w", name, err)
	}
	return s, nil
}

// RemoveSource revokes all tokens of a source, for good. Its users and groups stay as they are, DisableUsersOf ends that. store.ErrNotFound.
func (a *Admin) RemoveSource(ctx context.Context, name string) error {
	w := a.write(audit.KindSourceRemove, directory.User{}, func(e *audit.Entry) { e.Set("source", name) })
	if err := a.Store.RemoveSource(ctx, store.SourceWrite{Write: w, Source: store.Source{Name: name}}); err != nil {
		return fmt.Errorf("removing source %s: %w", name, err)
	}
	a.log(ctx, "removed source "+name, slog.String("source", name))
	return nil
}

// DisableUsersOf does what Disable does to every user of a source, removed or not, one after another, and tells how many. step, if not nil,
// is called after each with how many were there at first. Whoever was disabled stays so where it fails on the way; again goes on from there.
func (a *Admin) DisableUsersOf(ctx context.Context, name string, step func(done, of int)) (done int, err error) {
	if _, err := a.Store.Source(ctx, name); err != nil {
		return 0, fmt.Errorf("source %s: %w", name, err)
	}
	yes := true
	for of := 0; ; {
		page, left, err := a.Store.UsersOf(ctx, store.UserQuery{Source: store.Source{Name: name}.ID(), Active: &yes, Limit: 200})
		if err != nil || len(page) == 0 {
			return done, err
		}
		of = max(of, left)
		for _, u := range page {
			if _, err := a.Disable(ctx, u.ID); err != nil && !errors.Is(err, directory.ErrNotFound) {
				return done, err
			}
			if done++; step != nil {
				step(done, of)
			}
		}
	}
}

func (n SourceSettings) put(s store.Source) store.Source {
	s.Organisation, s.OrganisationAttribute, s.Issuer, s.MayGrant, s.MayStaff = n.Organisation, n.OrganisationAttribute, n.Issuer, n.MayGrant, n.MayStaff
	return s
}

func settingsOf(s store.Source) SourceSettings {
	return SourceSettings{s.Organisation, s.OrganisationAttribute, s.Issuer, s.MayGrant, s.MayStaff}
}

func setSource(e *audit.Entry, prefix string, s store.Source) {
	e.Set("source", s.Name)
	e.Set(prefix+"organisation", s.Organisation)
	e.Set(prefix+"organisation_attribute", s.OrganisationAttribute)
	e.Set(prefix+"issuer", s.Issuer)
	e.Set(prefix+"may_grant", strconv.FormatBool(s.MayGrant))
	e.Set(prefix+"may_staff", strconv.FormatBool(s.MayStaff))
}

var sourceName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

func (a *Admin) checkSource(s store.Source) error {
	u := directory.User{ID: "x", Email: "x@x", Organisation: s.Organisation}
	switch {
	case !sourceName.MatchString(s.Name):
		return invalid("name", `must be 1 to 32 of a-z, 0-9 and "-"`)
	case s.OrganisationAttribute != "" && s.Organisation != "":
		return invalid("organisation_attribute", "is not looked at beside an organisation: give one of the two")
	case s.OrganisationAttribute != "" && !scim.IsText(s.OrganisationAttribute):
		return invalid("organisation_attribute", "must be an attribute of SCIM's users with one text, such as userType or urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization")
	case s.Organisation == "" && s.OrganisationAttribute == "" && !s.MayStaff:
		return invalid("organisation", "must be given, or the attribute that tells it, or the right to have staff: who has no organisation is the operator's own")
	}
	if err := u.Validate(); err != nil {
		_, rule, _ := strings.Cut(err.Error(), ": ")
		return invalid("organisation", "%s", rule)
	}
	if s.Issuer == "" {
		return nil
	}
	return a.checkIssuer(s.Issuer)
}
