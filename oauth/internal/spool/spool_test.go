package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/spool"
)

var names struct {
	sync.Mutex
	n int
}

// open opens a spool as a process of its own would.
func open(t testing.TB, dir string, most int64) *spool.Spool {
	t.Helper()
	names.Lock()
	names.n++
	name := fmt.Sprintf("p%03d", names.n)
	names.Unlock()
	s, err := spool.Open(spool.Config{Dir: dir, Owner: "x", Name: name, MaxBytes: most, SyncEvery: time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func add(t testing.TB, s *spool.Spool, records ...string) (places []spool.Place) {
	t.Helper()
	for _, r := range records {
		p, err := s.Append([]byte(r), 0)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, p)
	}
	return places
}

func adopted(t testing.TB, s *spool.Spool) (records []string, places []spool.Place) {
	t.Helper()
	kept, err := s.Adopt()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		records, places = append(records, string(k.Record)), append(places, k.Place)
	}
	return records, places
}

// abandon leaves what s has, as a process does that is killed: the lock goes, the files stay.
func abandon(t testing.TB, s *spool.Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestAdopt: what a process leaves is what the next one finds, once, and nothing of those that live.
func TestAdopt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "spool")
	dead, alive := open(t, dir, 1<<20), open(t, dir, 1<<20)
	places := add(t, dead, "one", "two", "", "three")
	add(t, alive, "mine")
	if got, _ := adopted(t, alive); len(got) != 0 {
		t.Errorf("took %q from a process that lives", got)
	}
	dead.Done(places[1])
	abandon(t, dead)
	got, places := adopted(t, alive)
	if want := []string{"one", "two", "", "three"}; !slices.Equal(got, want) { // two may come again: its file was not empty
		t.Fatalf("got %q, want %q", got, want)
	}
	if again, _ := adopted(t, open(t, dir, 1<<20)); len(again) != 0 {
		t.Errorf("two processes adopted %q", again)
	}
	alive.Done(places...)
	if n := len(files(t, dir)); n != 2 { // that of each of those that live
		t.Errorf("%v are left, want 2", files(t, dir))
	}
	abandon(t, alive)
	if got, _ := adopted(t, open(t, dir, 1<<20)); !slices.Equal(got, []string{"mine"}) {
		t.Errorf("got %q, want what had not arrived", got)
	}
}

// TestOwners: two apps may have one directory, and neither tells what is the other's.
func TestOwners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other, err := spool.Open(spool.Config{Dir: dir, Owner: "xx", Name: "q", MaxBytes: 1 << 20, SyncEvery: time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	add(t, other, "theirs")
	abandon(t, other)
	if got, _ := adopted(t, open(t, dir, 1<<20)); len(got) != 0 {
		t.Errorf("took %q", got)
	}
}

// TestDoneLeavesNothing: what has arrived is told to nobody, and takes no room.
func TestDoneLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", t.TempDir()} {
		s := open(t, dir, 64<<10)
		for range 100 {
			s.Done(add(t, s, strings.Repeat("x", 10_000), "y")...)
		}
		abandon(t, s)
		if dir != "" && len(files(t, dir)) != 0 {
			t.Errorf("%v are left", files(t, dir))
		}
	}
}

// TestSegments: a spool of many files gives back the room of each, once all in it has arrived.
func TestSegments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 4<<20)
	var places []spool.Place
	for i := range 350 {
		places = append(places, add(t, s, fmt.Sprintf("%06d%s", i, strings.Repeat("x", 10_000)))...)
	}
	if n := len(files(t, dir)); n != 4 {
		t.Errorf("%d files, want 4", n)
	}
	s.Done(places[:349]...)
	if n := len(files(t, dir)); n != 1 {
		t.Errorf("%d files, want the last", n)
	}
	abandon(t, s)
	got, _ := adopted(t, open(t, dir, 4<<20))
	if len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "000349") {
		t.Errorf("%d records, and not the last", len(got))
	}
}

// TestFull: what does not fit is refused and nothing is dropped for it; room that is reserved is there.
func TestFull(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", t.TempDir()} {
		s := open(t, dir, 64<<10)
		big := strings.Repeat("x", 30_000)
		places := add(t, s, big)
		if !s.Reserve(30_100) {
			t.Fatal("no room")
		}
		if _, err := s.Append([]byte(big), 0); !errors.Is(err, spool.ErrFull) {
			t.Errorf("beside what is reserved: %v, want ErrFull", err)
		}
		if s.Reserve(30_100) {
			t.Error("the same room was reserved twice")
		}
		if _, err := s.Append([]byte(big), 30_100); err != nil {
			t.Errorf("what was reserved: %v", err)
		}
		s.Done(places...)
		if dir != "" {
			continue // a file goes as a whole
		}
		if !s.Reserve(30_100) {
			t.Error("no room though one has arrived")
		}
		s.Release(30_100)
		if !s.Reserve(30_100) {
			t.Error("no room though it was released")
		}
	}
}

// TestCut: whatever is cut off at the end of a file, all records before it are there.
func TestCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	add(t, s, "first", "second", "third")
	abandon(t, s)
	name := files(t, dir)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	ends := []int{}
	for i, b := range whole {
		if b == '\n' {
			ends = append(ends, i)
		}
	}
	for n := range len(whole) + 1 {
		cut := t.TempDir()
		if err := os.WriteFile(filepath.Join(cut, filepath.Base(name)), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, end := range ends {
			if n > end {
				want++
			}
		}
		got, _ := adopted(t, open(t, cut, 1<<20))
		if !slices.Equal(got, []string{"first", "second", "third"}[:want]) {
			t.Errorf("cut at %d: %q", n, got)
		}
		for _, f := range files(t, cut) {
			if strings.HasSuffix(f, ".damaged") {
				t.Errorf("cut at %d: counts as damaged", n)
			}
		}
	}
}

// TestDamaged: one flipped bit spoils one record, never what another says, and the file stays for whoever wants to look.
func TestDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	add(t, s, "first", "second", "third")
	abandon(t, s)
	name := files(t, dir)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(whole) {
		spoilt := bytes.Clone(whole)
		spoilt[bit/8] ^= 1 << (bit % 8)
		other := t.TempDir()
		if err := os.WriteFile(filepath.Join(other, filepath.Base(name)), spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		p, err := spool.Open(spool.Config{Dir: other, Owner: "x", Name: "q", MaxBytes: 1 << 20, SyncEvery: time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		got, places := adopted(t, p)
		for _, r := range got {
			if r != "first" && r != "second" && r != "third" {
				t.Errorf("bit %d: made %q up", bit, r)
			}
		}
		p.Done(places...)
		kept, _ := os.ReadFile(filepath.Join(other, filepath.Base(name)+".damaged"))
		last := bit/8 == len(whole)-1 // the end of the last line: it was cut off, as far as anybody can tell
		if !last && (!bytes.Equal(kept, spoilt) || !strings.Contains(log.String(), "damaged") || len(got) < 1 || len(got) > 2) || last && len(got) != 2 {
			t.Errorf("bit %d: %q, %d bytes kept, log %s", bit, got, len(kept), &log)
		}
		abandon(t, p)
	}
}

// TestDirectory: what cannot be a spool is refused when it is opened.
func TestDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	public, shared, link, others := filepath.Join(top, "public"), filepath.Join(top, "shared"), filepath.Join(top, "link"), "/"
	if err := errors.Join(os.Chmod(top, 0o755), os.Mkdir(public, 0o700), os.Chmod(public, 0o777), os.Mkdir(shared, 0o700), os.Chmod(shared, 0o770), os.Symlink(t.TempDir(), link)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // whose everything else is
		others = filepath.Join(top, "others")
		if err := errors.Join(os.Mkdir(others, 0o700), os.Chown(others, 1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{file, public, shared, link, others} {
		if s, err := spool.Open(spool.Config{Dir: dir, Name: "p", MaxBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler)}); err == nil {
			s.Close()
			t.Errorf("%s: opened", dir)
		}
	}
	private := filepath.Join(public, "own")
	s := open(t, private, 1<<20)
	add(t, s, "x")
	for _, name := range append(files(t, private), private) {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestEnclosed: a directory is as good as private where the one around it is, as that of a test is under any umask.
func TestEnclosed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "private", "spool")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	add(t, open(t, dir, 1<<20), "x")
}

// TestDamagedFollowsNothing: what is kept of a damaged file overwrites nothing that a link leads to, and until the good records have arrived the file is found again.
func TestDamagedFollowsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	add(t, s, "good")
	abandon(t, s)
	name, victim := files(t, dir)[0], filepath.Join(t.TempDir(), "victim")
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file := append(good, "spoilt\n"...)
	if err := errors.Join(os.WriteFile(name, file, 0o600), os.WriteFile(victim, []byte("mine"), 0o600), os.Symlink(victim, name+".damaged")); err != nil {
		t.Fatal(err)
	}
	first := open(t, dir, 1<<20)
	if got, _ := adopted(t, first); !slices.Equal(got, []string{"good"}) {
		t.Errorf("got %q", got)
	}
	abandon(t, first)
	second := open(t, dir, 1<<20)
	got, places := adopted(t, second)
	if !slices.Equal(got, []string{"good"}) {
		t.Errorf("after a crash: got %q", got)
	}
	second.Done(places...)
	if told, err := os.ReadFile(victim); err != nil || string(told) != "mine" {
		t.Errorf("the link's file says %q, %v", told, err)
	}
	if kept, err := os.ReadFile(name + ".damaged"); err != nil || !bytes.Equal(kept, file) {
		t.Errorf("kept %q, %v", kept, err)
	}
	if again, _ := adopted(t, open(t, dir, 1<<20)); len(again) != 0 {
		t.Errorf("told again: %q", again)
	}
}

// TestAnyName: a directory may have any name, also one that would be a pattern.
func TestAnyName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), `app[1]*?\`)
	s := open(t, dir, 1<<20)
	add(t, s, "x")
	abandon(t, s)
	if got, _ := adopted(t, open(t, dir, 1<<20)); !slices.Equal(got, []string{"x"}) {
		t.Errorf("got %q", got)
	}
}

// TestLargerThanTheRoom: what was left by processes that had more room is found too, a file at a time, and room that was reserved meanwhile is there.
func TestLargerThanTheRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		s := open(t, dir, 1<<20)
		for range 200 {
			add(t, s, strings.Repeat("x", 1000))
		}
		abandon(t, s)
	}
	small := open(t, dir, 64<<10)
	if !small.Reserve(2000) {
		t.Fatal("no room")
	}
	for range 2 {
		got, places := adopted(t, small)
		if len(got) != 200 {
			t.Fatalf("%d records, want 200", len(got))
		}
		if small.Reserve(1) {
			t.Error("there is room beside it")
		}
		if again, _ := adopted(t, small); len(again) != 0 {
			t.Errorf("%d more records at once", len(again))
		}
		p, err := small.Append([]byte("reserved"), 2000)
		if err != nil {
			t.Fatalf("what was reserved: %v", err)
		}
		small.Done(append(places, p)...)
		if !small.Reserve(2000) {
			t.Fatal("its room was not given back")
		}
	}
}

// TestClosed: nothing is taken that nobody would keep.
func TestClosed(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 1<<20)
	abandon(t, s)
	if _, err := s.Append([]byte("x"), 0); !errors.Is(err, spool.ErrClosed) || s.Reserve(1) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// TestAtOnce: many who append, and let go, at once lose nothing and take no room in the end.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 8<<20)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 1000 {
				p, err := s.Append(fmt.Appendf(nil, "%d-%d-%s", g, i, strings.Repeat("x", 400)), 0)
				if err != nil {
					t.Error(err)
					return
				}
				if i%10 != 0 {
					s.Done(p)
				}
			}
		})
	}
	all.Wait()
	abandon(t, s)
	got, _ := adopted(t, open(t, dir, 16<<20))
	for g := range 8 {
		for i := 0; i < 1000; i += 10 {
			if !slices.ContainsFunc(got, func(r string) bool { return strings.HasPrefix(r, fmt.Sprintf("%d-%d-", g, i)) }) {
				t.Fatalf("%d-%d is lost", g, i)
			}
		}
	}
}

// FuzzAdopt: whatever lies in the directory, what is taken for a record was framed as one.
func FuzzAdopt(f *testing.F) {
	f.Add([]byte("e2bd5e9c first\n"))
	f.Add([]byte("\n\n\n"))
	f.Add([]byte("00000000 \n00000000 x"))
	f.Fuzz(func(t *testing.T, file []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x-y-000001.spool"), file, 0o600); err != nil {
			t.Fatal(err)
		}
		got, _ := adopted(t, open(t, dir, 8<<20))
		for _, r := range got {
			if !bytes.Contains(file, []byte(" "+r+"\n")) {
				t.Errorf("made %q up", r)
			}
		}
	})
}

// BenchmarkAppend is what a record costs the request that waits for it.
func BenchmarkAppend(b *testing.B) {
	for _, dir := range []string{"", b.TempDir()} {
		s := open(b, dir, 16<<20)
		record := bytes.Repeat([]byte("x"), 300)
		b.Run(fmt.Sprintf("files=%t", dir != ""), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := s.Append(record, 0)
				if err != nil {
					b.Fatal(err)
				}
				s.Done(p)
			}
		})
	}
}
