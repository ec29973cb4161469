package chaos

import (
	"sync"
)

// Ends holds introspection to invariant I3: once an end has answered, no introspection that begins later says active. It goes
// by the order of calls and by no clock. The zero value is ready; safe for concurrent use.
//
//	answer := ends.Ask(sid)
//	answer(introspect(token))
//	...
//	stop(sid)
//	ends.Ended(sid)
type Ends struct {
	mu    sync.Mutex
	ended map[string]bool
	found []Violation
}

// Ended says that a stop, revocation or kill of session sid was answered with success.
func (e *Ends) Ended(sid string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended == nil {
		e.ended = map[string]bool{}
	}
	e.ended[sid] = true
}

// Ask is called before an introspection of session sid is sent; what it gives is called with the answer.
func (e *Ends) Ask(sid string) (answer func(active bool)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.ended[sid]
	return func(active bool) {
		if !before || !active {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.found = append(e.found, Violation{"I3", sid, "was active for an introspection that began after its end had answered"})
	}
}

// Violations gives what was found so far.
func (e *Ends) Violations() []Violation {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Violation(nil), e.found...)
}
