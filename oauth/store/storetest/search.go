package storetest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

// letters are those that names are made of for CheckSearch: few, so that much matches, and such as have a meaning somewhere or
// are at an edge of their encoding.
var letters = []string{"a", "a", "A", "b", "é", "É", "李", "\U0001F600", "\u07ff", "\u0800", "\U0010ffff", " ", "'", `"`, `\`, "%", "*", "&", ":"}

// organisations are much alike too.
var organisations = []string{"", "acorn", "adorn"}

// CheckSearch fills s, which must be empty, with people whose names are much alike, and compares what search gives, page by page,
// with a look at each of them. A backend's own test calls it with its search set to take all its turns for so few.
func CheckSearch(t *testing.T, s store.Store, search func(context.Context, directory.Query) ([]directory.User, string, error)) {
	t.Helper()
	k, r := &kit{T: t, store: s}, rand.New(rand.NewPCG(5, 6)) //nolint:gosec // people of a test, no secrets
	all := k.alike(r, 300)
	tries := 200
	if testing.Short() {
		tries = 20
	}
	for range tries {
		q := directory.Query{AnyOrganisation: r.IntN(2) == 0, Limit: []int{3, 7, 50}[r.IntN(3)], Organisation: organisations[r.IntN(3)], Text: textFor(r, all)}
		if !k.sameSearch(q, matching(all, q), search) {
			return
		}
	}
}

func (k *kit) alike(r *rand.Rand, n int) (all []directory.User) {
	for i := range n {
		u := directory.User{ID: fmt.Sprintf("u%d", i), Name: word(r, 5), Organisation: organisations[i%3]}
		switch i % 4 {
		case 1:
			u.Email = u.ID + "@ab.test"
		case 2, 3:
			u.Email = fmt.Sprintf("%s%d@ab.test", word(r, 2), i)
		}
		k.ok(k.create(u))
		if i%5 == 0 {
			u.Name = word(r, 5)
			k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: u}))
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b directory.User) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all
}

// word has up to n letters.
func word(r *rand.Rand, n int) (w string) {
	for range r.IntN(n + 1) {
		w += letters[r.IntN(len(letters))]
	}
	return w
}

// textFor is what somebody may search for: something, a part of somebody's name or address, or an ID.
func textFor(r *rand.Rand, all []directory.User) string {
	if r.IntN(8) == 0 {
		return fmt.Sprintf("u%d", r.IntN(10)) // an ID that many addresses begin with, its own among them
	}
	u := all[r.IntN(len(all))]
	runes := []rune([]string{u.Name, u.Email, u.ID}[r.IntN(3)])
	if r.IntN(3) == 0 || len(runes) == 0 {
		return word(r, 4)
	}
	from := r.IntN(len(runes))
	return string(runes[from:min(len(runes), from+1+r.IntN(4))])
}

func matching(all []directory.User, q directory.Query) (want []string) {
	text := strings.ToLower(q.Text)
	for _, u := range all {
		key := strings.ToLower(u.Name) + "\n" + strings.ToLower(u.Email)
		if (q.AnyOrganisation || u.Organisation == q.Organisation) && (strings.Contains(key, text) || u.ID == q.Text) {
			want = append(want, u.ID)
		}
	}
	return want
}

func (k *kit) sameSearch(q directory.Query, want []string, search func(context.Context, directory.Query) ([]directory.User, string, error)) bool {
	k.Helper()
	var got []string
	for range len(want)/q.Limit + 2 {
		page, next, err := search(k.Context(), q)
		k.ok(err)
		if got = append(got, ids(page)...); next == "" {
			break
		}
		q.After = next
	}
	q.After = ""
	k.same(fmt.Sprintf("%+v", q), got, want)
	return !k.Failed()
}
