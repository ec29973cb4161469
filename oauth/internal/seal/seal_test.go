package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/oauth/internal/seal"
)

func key(fill byte) []byte { return bytes.Repeat([]byte{fill}, seal.KeySize) }

func newBox(t testing.TB, current []byte, older ...[]byte) *seal.Box {
	t.Helper()
	b, err := seal.New(current, older...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	box := newBox(t, key(1))
	rapid.Check(t, func(t *rapid.T) {
		purpose := rapid.String().Draw(t, "purpose")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed := box.Seal(purpose, plain)
		if got, want := len(sealed), len(plain)+seal.Overhead; got != want {
			t.Fatalf("sealed length %d, want %d", got, want)
		}
		got, err := box.Open(purpose, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %x, %v, want %x", got, err, plain)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	box := newBox(t, key(1))
	sealed := box.Seal("cookie", []byte("secret"))
	tests := []struct {
		name    string
		box     *seal.Box
		purpose string
		sealed  []byte
	}{
		{"other purpose", box, "key", sealed},
		{"longer purpose", box, "cookie ", sealed},
		{"other key", newBox(t, key(2)), "cookie", sealed},
		{"longer by a byte", box, "cookie", append(bytes.Clone(sealed), 0)},
		{"without its version", box, "cookie", sealed[1:]},
		{"nil", box, "cookie", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, err := tt.box.Open(tt.purpose, tt.sealed); !errors.Is(err, seal.ErrOpen) || got != nil {
				t.Errorf("got %x, %v, want ErrOpen", got, err)
			}
		})
	}
}

func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	box := newBox(t, key(1))
	sealed := box.Seal("cookie", []byte("secret"))
	for i := range sealed {
		if _, err := box.Open("cookie", sealed[:i]); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("cut to %d bytes: got %v, want ErrOpen", i, err)
		}
		for bit := range 8 {
			flipped := bytes.Clone(sealed)
			flipped[i] ^= 1 << bit
			if _, err := box.Open("cookie", flipped); !errors.Is(err, seal.ErrOpen) {
				t.Errorf("bit %d of byte %d flipped: got %v, want ErrOpen", bit, i, err)
			}
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old := newBox(t, key(1))
	both := newBox(t, key(2), key(1))
	if got, err := both.Open("p", old.Seal("p", []byte("x"))); err != nil || string(got) != "x" {
		t.Errorf("sealed under the older key: got %q, %v", got, err)
	}
	sealed := both.Seal("p", []byte("x"))
	if _, err := old.Open("p", sealed); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("the older key opened what the current one must have sealed: %v", err)
	}
	if _, err := newBox(t, key(2)).Open("p", sealed); err != nil {
		t.Errorf("sealed under the current key: %v", err)
	}
}

func TestSealNeverRepeats(t *testing.T) {
	t.Parallel()
	box := newBox(t, key(1))
	if bytes.Equal(box.Seal("p", []byte("x")), box.Seal("p", []byte("x"))) {
		t.Error("the same bytes twice: the nonce is not random")
	}
}

func TestNewRefusesKeySizes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 16, 24, 31, 33} {
		if _, err := seal.New(make([]byte, size)); err == nil {
			t.Errorf("current key of %d bytes: no error", size)
		}
		if _, err := seal.New(key(1), make([]byte, size)); err == nil {
			t.Errorf("older key of %d bytes: no error", size)
		}
	}
}

// TestTag: the same for the same key and data, another for any other.
func TestTag(t *testing.T) {
	t.Parallel()
	one, two := bytes.Repeat([]byte{1}, seal.KeySize), bytes.Repeat([]byte{2}, seal.KeySize)
	tag := func(data string, keys ...[]byte) [32]byte {
		b, err := seal.New(keys[0], keys[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		return b.Tag([]byte(data))
	}
	if tag("a", one) != tag("a", one, two) {
		t.Error("the same key and data give two tags")
	}
	if tag("a", one) == tag("b", one) || tag("a", one) == tag("a", two) {
		t.Error("another key or other data give the same tag")
	}
}
