package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

var namingCases = []testCase{
	{"client/naming", "a resource is known by one naming: whoever would share it and name people otherwise is refused, and leaves nothing", func(k *kit) {
		named := func(id, issuer string) store.Client {
			c := k.client(id)
			c.Resources, c.Settings.SubjectIssuer = []string{"https://other.acme.test", "https://api.acme.test/" + id, "https://shared.acme.test"}, issuer
			return c
		}
		add := func(c store.Client) error {
			return k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.recorded(audit.KindClientAdd), Client: c})
		}
		k.ok(add(named("local", "")))
		err := add(named("mapped", "https://idp.test"))
		var clash *store.NamingError
		if !errors.As(err, &clash) || clash.Client != "local" || clash.Resource != "https://other.acme.test" {
			k.Errorf("another naming: got %v, want a NamingError about local", err)
		}
		_, err = k.store.Client(k.Context(), "mapped")
		k.wantErr("the client that was refused", err, store.ErrNotFound)
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindClientAdd})); n != 1 {
			k.Errorf("got %d entries, want 1", n)
		}
		apart, api := named("mapped", "https://idp.test"), named("api", "https://idp.test")
		apart.Resources = apart.Resources[1:2]
		api.RedirectURIs, api.Exchange = nil, false
		k.ok(add(apart))
		k.ok(add(api))
		k.ok(add(named("local2", "")))

		change := func(c store.Client, to store.Settings, exchange bool) error {
			was, err := k.store.Client(k.Context(), c.ID)
			k.ok(err)
			w := store.ClientChange{EndWrite: k.endWrite(impersonation.ScopeClient, c.ID), Client: was, Was: was.Settings}
			w.Client.Settings, w.Client.Exchange = to, exchange
			return k.store.ChangeClient(k.Context(), w)
		}
		k.wantErr("a change to another naming", change(named("local2", ""), store.Settings{SubjectIssuer: "https://idp.test"}, true), store.ErrNaming)
		k.wantErr("a change to name people", change(api, api.Settings, true), store.ErrNaming)
		k.ok(change(apart, store.Settings{SubjectIssuer: "https://idp2.test"}, true))
		k.ok(k.store.DeleteClient(k.Context(), "local", k.endWrite(impersonation.ScopeClient, "local")))
		k.ok(k.store.DeleteClient(k.Context(), "local2", k.endWrite(impersonation.ScopeClient, "local2")))
		k.ok(change(api, api.Settings, true))
	}},
	{"client/naming-race", "of those who come at once, each with another naming for one resource, one stays", func(k *kit) {
		const many = 8
		errs := make([]error, many)
		var wg sync.WaitGroup
		for i := range many {
			c := k.client(fmt.Sprintf("c%d", i))
			c.Resources, c.Settings.SubjectIssuer = []string{"https://raced.acme.test"}, fmt.Sprintf("https://idp%d.test", i)
			wg.Go(func() { errs[i] = k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: c}) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrNaming) {
				k.Errorf("got %v, want ErrNaming", err)
			}
		}
		if won != 1 {
			k.Errorf("%d of %d were added, want 1", won, many)
		}
	}},
}
