package tokens_test

import (
	"testing"

	"github.com/understudy-id/understudy/oauth/tokens"
)

func BenchmarkSign(b *testing.B) {
	set, claims := newKeySet(b, newKey(b)), impersonating()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Sign(claims); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyFirst is a token that is not remembered, and the making of an empty memory.
func BenchmarkVerifyFirst(b *testing.B) {
	set := newKeySet(b, newKey(b))
	token := mustSign(b, set, impersonating())
	b.ReportAllocs()
	for b.Loop() {
		set.Forget()
		if _, err := set.Verify(token, expect); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyOurs is the first use of a token that the same set signed, and the making of that memory.
func BenchmarkVerifyOurs(b *testing.B) {
	set := newKeySet(b, newKey(b))
	token := mustSign(b, set, impersonating())
	b.ReportAllocs()
	for b.Loop() {
		set.Forget()
		set.Sent(token)
		if _, err := set.Verify(token, expect); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is a token that came before.
func BenchmarkVerify(b *testing.B) {
	set := newKeySet(b, newKey(b))
	token := mustSign(b, set, impersonating())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.Verify(token, expect); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyAssertion is all that is done to one: the client is read, then what it signed.
func BenchmarkVerifyAssertion(b *testing.B) {
	for algorithm, k := range clientKeys() {
		b.Run(algorithm, func(b *testing.B) {
			expect, token := expectAssertion(b, k), compact(b, k, assertionHeader(k), assertionPayload)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tokens.AssertionClient(token); err != nil {
					b.Fatal(err)
				}
				if _, err := tokens.VerifyAssertion(token, expect); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyProof(b *testing.B) {
	for algorithm, k := range clientKeys() {
		b.Run(algorithm, func(b *testing.B) {
			proof := compact(b, k, proofHeader(b, k), proofPayload)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tokens.VerifyProof(proof, expectProof); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
