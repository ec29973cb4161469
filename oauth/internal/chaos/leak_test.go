package chaos_test

import "time"

// slack is by how much what a server holds may differ between two moments of rest.
const slack = 5

// settled waits until every server holds as many files and sockets as in files, or hardly more, with nobody connected; nil waits
// until that does not change any more. It gives how many they hold.
func (c *crowd) settled(files []int) (now []int) {
	c.t.Helper()
	c.http.CloseIdleConnections()
	for _, w := range c.workers {
		w.browser.Close()
	}
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i, s := range c.servers {
		n, before := s.Files(), -1
		for ; files == nil && n != before || files != nil && n > files[i]+slack; n, before = s.Files(), n {
			if <-tick.C; time.Now().After(deadline) {
				c.t.Errorf("server %d holds %d files and sockets, which were %d; base %v", i, n, before, files)
				break
			}
		}
		now = append(now, n)
	}
	return now
}

// nothingLeft ends the servers and demands that they did about as much as fresh ones that have done some work: that nothing waits
// for what is long over. files is what they held at first.
func (c *crowd) nothingLeft(files []int) {
	c.t.Helper()
	c.settled(files)
	var stacks []string
	var had []int
	for _, s := range c.servers {
		stack, n := s.Goroutines()
		stacks, had = append(stacks, stack), append(had, n)
		s.Start()
	}
	c.warm()
	c.settled(files)
	for i, s := range c.servers {
		if _, fresh := s.Goroutines(); had[i] > fresh+slack {
			c.t.Errorf("server %d had %d goroutines; want about the %d of a fresh one:\n%s", i, had[i], fresh, stacks[i])
		}
	}
}
