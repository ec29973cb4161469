package storetest

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"sort"
	"strings"

	"github.com/understudy-id/understudy/oauth/directory"
)

// Crowd gives n people for benchmarks, the same ones each time: 60,000 surnames and 200 organisations, the k-th of which is k times
// rarer than the first, and 3,000 given names, of which the first is that of one in sixty, as in a register of a country. Addresses
// are made of the names.
func Crowd(n int) iter.Seq[directory.User] {
	return func(yield func(directory.User) bool) {
		r := rand.New(rand.NewPCG(1, 2)) // the same people each time
		given, surnames, organisations := named(r, 3_000, 2, 10), named(r, 60_000, 3, 1), named(r, 200, 2, 1)
		for i := range n {
			g, s, o := given.pick(r), surnames.pick(r), organisations.pick(r)
			u := directory.User{ID: fmt.Sprintf("usr_%026x", r.Uint64()), Name: g + " " + s, Organisation: strings.ToLower(o), Enabled: true}
			u.Email = strings.ToLower(fmt.Sprintf("%s.%s%d@%s.test", g, s, i, o))
			if !yield(u) {
				return
			}
		}
	}
}

// Terms gives n texts that somebody may search such a crowd for: of each person a given name, a surname, both, the beginning of
// an address, and three to eight characters from anywhere in name or address. All have at least three characters.
func Terms(n int) (out []string) {
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // see above
	for u := range Crowd(n) {
		given, surname, _ := strings.Cut(u.Name, " ")
		key := []string{u.Name, u.Email}[r.IntN(2)]
		from := r.IntN(len(key) - 2)
		piece := key[from:min(len(key), from+3+r.IntN(6))]
		out = append(out, []string{given, surname, u.Name, u.Email[:8], piece}[r.IntN(5)])
	}
	return out
}

// names are drawn with the odds of Zipf's law.
type names struct {
	all  []string
	odds []float64 // up to and with this one
}

func (n names) pick(r *rand.Rand) string {
	return n.all[sort.SearchFloat64s(n.odds, r.Float64()*n.odds[len(n.odds)-1])]
}

var (
	onsets = strings.Split(",b,br,c,ch,d,f,g,gr,h,j,k,l,m,n,p,r,s,sch,st,t,th,v,w,z", ",")
	vowels = strings.Split("a,e,i,o,u,ie,ea", ",")
	codas  = strings.Split(",,,n,r,s,l,t,m,ck", ",")
)

// named makes so many different names of up to so many syllables. The first has the rank first: the higher, the less it stands out.
func named(r *rand.Rand, count, syllables, first int) (n names) {
	seen, sum := make(map[string]bool), 0.0
	for len(n.all) < count {
		name := ""
		for range 1 + r.IntN(syllables) {
			name += onsets[r.IntN(len(onsets))] + vowels[r.IntN(len(vowels))] + codas[r.IntN(len(codas))]
		}
		if len(name) < 3 || seen[name] {
			continue
		}
		seen[name] = true
		sum += 1 / float64(first+len(n.all))
		n.all, n.odds = append(n.all, strings.ToUpper(name[:1])+name[1:]), append(n.odds, sum)
	}
	return n
}
