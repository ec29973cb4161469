package password_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/oauth/internal/password"
)

const secret = "correct horse battery"

func TestHashVerify(t *testing.T) {
	t.Parallel()
	pool := password.New(0, 0)
	phc, err := pool.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	if want := "$argon2id$v=19$m=19456,t=2,p=1$"; !strings.HasPrefix(phc, want) || len(phc) >= 128 {
		t.Errorf("got %q, want prefix %q and below 128 bytes", phc, want)
	}
	for typed, want := range map[string]bool{secret: true, secret + " ": false, strings.ToUpper(secret): false, "": false} {
		if got, err := pool.Verify(t.Context(), phc, typed); got != want || err != nil {
			t.Errorf("Verify(%q): got %v, %v, want %v", typed, got, err, want)
		}
	}
	again, err := pool.Hash(t.Context(), secret)
	if err != nil || again == phc {
		t.Errorf("a second hash: got the same string, or %v; want another salt", err)
	}
}

// The string below was made by the reference program of argon2, so that we agree with others and not only with ourselves:
// echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e (phc-winner-argon2, test.c).
func TestVerifyForeignString(t *testing.T) {
	t.Parallel()
	phc := "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if got, err := password.New(1, 1).Verify(t.Context(), phc, "password"); !got || err != nil {
		t.Errorf("got %v, %v, want true", got, err)
	}
}

// An unknown user must cost what a known one costs; what is measured here is the work asked for, not the time it took.
func TestVerifyUnknownUser(t *testing.T) {
	t.Parallel()
	pool := password.New(1, 1)
	phc, err := pool.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	costs := func(s string) string { return strings.Join(strings.Split(s, "$")[:4], "$") }
	if got, want := costs(password.DummyCosts()), costs(phc); got != want {
		t.Errorf("unknown user costs %q, known %q", got, want)
	}
	if got, want := len(password.DummyCosts()), len(phc); got != want {
		t.Errorf("unknown user's string has %d bytes, known %d", got, want)
	}
	if got, err := pool.Verify(t.Context(), "", secret); got || err != nil {
		t.Errorf("unknown user: got %v, %v, want false", got, err)
	}
	release := pool.Occupy()
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pool.Verify(ctx, "", secret); !errors.Is(err, context.Canceled) {
		t.Errorf("unknown user did not queue for a worker: %v", err)
	}
}

func TestVerifyRefusesStrings(t *testing.T) {
	t.Parallel()
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	tests := []struct{ name, phc string }{
		{"memory of 4 TiB", "$argon2id$v=19$m=4294967295,t=2,p=1$" + salt + "$" + key},
		{"memory a KiB above the bound", "$argon2id$v=19$m=65537,t=2,p=1$" + salt + "$" + key},
		{"memory below 8 KiB a lane", "$argon2id$v=19$m=8,t=2,p=2$" + salt + "$" + key},
		{"memory out of range", "$argon2id$v=19$m=4294967296,t=2,p=1$" + salt + "$" + key},
		{"no passes", "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + key},
		{"passes above the bound", "$argon2id$v=19$m=64,t=9,p=1$" + salt + "$" + key},
		{"no lanes", "$argon2id$v=19$m=64,t=2,p=0$" + salt + "$" + key},
		{"lanes above the bound", "$argon2id$v=19$m=64,t=2,p=5$" + salt + "$" + key},
		{"other variant", "$argon2i$v=19$m=64,t=2,p=1$" + salt + "$" + key},
		{"other version", "$argon2id$v=16$m=64,t=2,p=1$" + salt + "$" + key},
		{"other function", "$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"},
		{"costs in another order", "$argon2id$v=19$t=2,m=64,p=1$" + salt + "$" + key},
		{"cost with a leading zero", "$argon2id$v=19$m=064,t=2,p=1$" + salt + "$" + key},
		{"something after the costs", "$argon2id$v=19$m=64,t=2,p=1,x=1$" + salt + "$" + key},
		{"something in front", "x$argon2id$v=19$m=64,t=2,p=1$" + salt + "$" + key},
		{"empty salt", "$argon2id$v=19$m=64,t=2,p=1$$" + key},
		{"empty key", "$argon2id$v=19$m=64,t=2,p=1$" + salt + "$"},
		{"key of one byte", "$argon2id$v=19$m=64,t=2,p=1$" + salt + "$AA"},
		{"key with trailing bits", "$argon2id$v=19$m=64,t=2,p=1$" + salt + "$" + key[:42] + "d"},
		{"newline in the key", "$argon2id$v=19$m=64,t=2,p=1$" + salt + "$" + key[:9] + "\n" + key[9:]},
		{"a megabyte of salt", "$argon2id$v=19$m=64,t=2,p=1$" + strings.Repeat("A", 1<<20) + "$" + key},
		{"plain text", secret},
	}
	pool := password.New(1, 1)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, err := pool.Verify(t.Context(), tt.phc, secret); got || !errors.Is(err, password.ErrPHC) {
				t.Errorf("got %v, %v, want ErrPHC", got, err)
			}
		})
	}
}

func TestPoolBusy(t *testing.T) {
	t.Parallel()
	pool := password.New(1, 2)
	release := pool.Occupy()
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() {
			if _, err := pool.Hash(t.Context(), secret); err != nil {
				t.Errorf("in the queue: %v", err)
			}
		})
	}
	for pool.Waiting() < 2 {
		runtime.Gosched() // the two goroutines get there without us
	}
	if _, err := pool.Hash(t.Context(), secret); !errors.Is(err, password.ErrBusy) {
		t.Errorf("Hash with a full queue: got %v, want ErrBusy", err)
	}
	if _, err := pool.Verify(t.Context(), "", secret); !errors.Is(err, password.ErrBusy) {
		t.Errorf("Verify with a full queue: got %v, want ErrBusy", err)
	}
	release()
	waiting.Wait()
	if got := pool.Waiting(); got != 0 {
		t.Errorf("%d still wait", got)
	}
	if _, err := pool.Hash(t.Context(), secret); err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

func TestPoolContext(t *testing.T) {
	t.Parallel()
	pool := password.New(1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	release := pool.Occupy()
	done := make(chan error)
	go func() {
		_, err := pool.Hash(ctx, secret)
		done <- err
	}()
	for pool.Waiting() < 1 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled in the queue: got %v", err)
	}
	release()
	if phc, err := pool.Hash(ctx, secret); !errors.Is(err, context.Canceled) || phc != "" {
		t.Errorf("cancelled before, with a worker free: got %q, %v", phc, err)
	}
	if _, err := pool.Hash(t.Context(), secret); err != nil {
		t.Errorf("the place was not given back: %v", err)
	}
}

func BenchmarkVerify(b *testing.B) {
	pool := password.New(0, 0)
	phc, err := pool.Hash(b.Context(), secret)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := pool.Verify(b.Context(), phc, secret); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
