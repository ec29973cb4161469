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
		for round := range 4 { // the first finds a pool without connections
			k.oneNames(many, func(i int) error {
				c := k.client(fmt.Sprintf("c%d-%d", round, i))
				c.Resources, c.Settings.SubjectIssuer = []string{fmt.Sprintf("https://raced%d.acme.test", round)}, fmt.Sprintf("https://idp%d.test", i)
				return k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: c})
			})
		}
	}},
	{"client/naming-change-race", "of those who begin to name people at once, each otherwise at one resource, one does", func(k *kit) {
		const many = 8
		changes := make([]store.ClientChange, many)
		for i := range many {
			c := k.client(fmt.Sprintf("c%d", i))
			c.Resources, c.Settings.SubjectIssuer = []string{"https://raced.acme.test"}, fmt.Sprintf("https://idp%d.test", i)
			c.RedirectURIs, c.Exchange = nil, false
			k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: c}))
			changes[i] = store.ClientChange{EndWrite: k.endWrite(impersonation.ScopeClient, c.ID), Client: c, Was: c.Settings}
			changes[i].Client.Exchange = true
		}
		k.oneNames(many, func(i int) error { return k.store.ChangeClient(k.Context(), changes[i]) })
	}},
	{"client/naming-cross-race", "who comes and who changes at once do not name people in two ways at one resource", func(k *kit) {
		there := k.client("there")
		there.Resources, there.Settings.SubjectIssuer, there.RedirectURIs, there.Exchange = []string{"https://raced.acme.test"}, "https://idp0.test", nil, false
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: there}))
		change := store.ClientChange{EndWrite: k.endWrite(impersonation.ScopeClient, "there"), Client: there, Was: there.Settings}
		change.Client.Exchange = true
		comes := k.client("comes")
		comes.Resources, comes.Settings.SubjectIssuer = there.Resources, "https://idp1.test"
		k.oneNames(2, func(i int) error {
			if i == 0 {
				return k.store.ChangeClient(k.Context(), change)
			}
			return k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: comes})
		})
	}},
}

// oneNames has many writes at once, each with another naming for one resource, and demands that one is done and the others are ErrNaming.
func (k *kit) oneNames(many int, write func(i int) error) {
	k.Helper()
	errs := make([]error, many)
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range many {
		all.Go(func() {
			<-begin
			errs[i] = write(i)
		})
	}
	close(begin)
	all.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		} else if !errors.Is(err, store.ErrNaming) {
			k.Errorf("got %v, want ErrNaming", err)
		}
	}
	if done != 1 {
		k.Errorf("%d of %d were done, want 1", done, many)
	}
}
