package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/store"
)

// warnAlike warns where issuers are almost what another is that is known here: nobody would ever be found by them.
func (a *app) warnAlike(ctx context.Context, st store.Store, issuers ...string) {
	known := slices.Clone(a.issuers)
	sources, err := st.Sources(ctx)
	if err != nil { // what was asked for is done
		fmt.Fprintf(a.stderr, "warning: the issuers of SCIM sources are not compared: %v\n", err)
	}
	for _, s := range sources {
		known = append(known, config.Issuer{URL: s.Issuer, Where: "SCIM source " + s.Name})
	}
	for _, issuer := range issuers {
		for _, k := range known {
			if config.Alike(issuer, k.URL) {
				fmt.Fprintf(a.stderr, "warning: %s is another issuer than %s of %s: iss is compared byte by byte, and tokens have one of them\n", clean(issuer), k.URL, k.Where)
			}
		}
	}
}

// maxIssuers is of how many a file's rows are looked at: a file has a handful.
const maxIssuers = 100

// noting gives rows, and notes in seen which issuers they name.
func noting(rows iter.Seq2[admin.Row, error], seen map[string]bool) iter.Seq2[admin.Row, error] {
	return func(yield func(admin.Row, error) bool) {
		for row, err := range rows {
			for _, p := range row.Identities {
				if len(seen) < maxIssuers {
					seen[p.Issuer] = true
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// warnAlikeOf is warnAlike for the issuers of a file, which may be alike among themselves too.
func (a *app) warnAlikeOf(ctx context.Context, st store.Store, seen map[string]bool) {
	issuers := slices.Sorted(maps.Keys(seen))
	for n, b := range issuers {
		for _, other := range issuers[:n] {
			if config.Alike(other, b) {
				fmt.Fprintf(a.stderr, "warning: the file has the issuers %s and %s, which are two: iss is compared byte by byte, and tokens have one of them\n", other, b)
			}
		}
	}
	a.warnAlike(ctx, st, issuers...)
}
