package password

// Occupy takes every worker of p until release is called.
func (p *Pool) Occupy() (release func()) {
	for range cap(p.running) {
		p.admitted <- struct{}{}
		p.running <- struct{}{}
	}
	return func() {
		for range cap(p.running) {
			<-p.running
			<-p.admitted
		}
	}
}

// Waiting is how many calls wait for a worker.
func (p *Pool) Waiting() int { return len(p.admitted) - len(p.running) }

// DummyCosts is what Verify computes for an unknown user: a PHC string, for comparison with what Hash gives.
func DummyCosts() string { return dummy().String() }
