// Package storetest is the contract of a store.Store as tests. A backend's own test is these lines:
//
//	func TestStore(t *testing.T) {
//		open := func(t *testing.T) store.Store {
//			s, err := mystore.Open(t.Context(), ...)
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { s.Close() })
//			return s
//		}
//		storetest.Run(t, open)
//		storetest.RunConcurrency(t, open)
//	}
//
// A change of the contract begins here. The package looks through the interface only: what a backend promises beyond it, such
// as surviving a crash, its own tests show.
package storetest

import (
	"slices"
	"testing"

	"github.com/understudy-id/understudy/oauth/store"
)

// A testCase is one promise. explanation says whom it protects, in the words of a failure's reader.
type testCase struct {
	name        string
	explanation string
	run         func(*kit)
}

// Run holds a store to its contract, each case on a fresh store from open. It closes none of them.
func Run(t *testing.T, open func(*testing.T) store.Store) {
	t.Helper()
	for _, c := range slices.Concat(ticketCases, startCases, stopCases, endCases, liveCases, userCases, batchCases, searchCases, clientCases, namingCases, consentCases,
		loginCases, upstreamCases, attemptCases, grantCases, clientGrantCases, refreshCases, pushedCases, noticeCases, streamCases, askedCases, keyCases, trailCases, valueCases, sourceCases, groupCases) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			t.Log(c.explanation)
			c.run(newKit(t, open(t)))
		})
	}
}
