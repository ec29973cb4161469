package tokens_test

import "testing"

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
