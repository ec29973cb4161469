package server

import (
	"net/http"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/actions"
)

// actionsPerMinute bounds what script in one session's pages can make its app write into the trail. It is fifty a second, since each of a
// page's files is a request: more than anybody asks for, and an app is told to wait (429), so that it refuses what it may not record.
const actionsPerMinute = 3000

// actions is POST /impersonation/actions: an app, or an API that serves the resource of a session's token, puts on record what an actor does
// there, and learns whether the sessions are alive. It is fail closed: with any answer but 200 it must not run what it told as phase before.
func (s *Server) actions(w http.ResponseWriter, r *http.Request) {
	active, err := s.recordActions(w, r)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	noStore(w.Header())
	writeJSON(w, http.StatusOK, actions.Answer(active))
}

func (s *Server) recordActions(w http.ResponseWriter, r *http.Request) (map[string]bool, error) {
	told, cred, err := actions.Read(w, r)
	if err != nil {
		return nil, err
	}
	// A public client has no way to authenticate in JSON, so nobody's bare word counts here.
	c, err := s.authenticateClient(r, cred)
	if err != nil {
		return nil, err
	}
	now := s.clock()
	for _, a := range told { // each resource server sees the sid: whose it is only a look at the store tells
		if !s.acts.allow(ofClient(c.ID, a.Session), now) {
			return nil, errBusy
		}
	}
	return s.service.Act(r.Context(), impersonation.ActRequest{Client: c.ID, Serves: c.tellsOf(), Actions: told, RequestID: requestID(r.Context())})
}

// tellsOf gives the resources of which c tells what is done with their tokens. A relying app, which starts impersonations, tells of its own alone, also where it
// serves what others use too: its neighbours' stories are not its to write.
func (c *client) tellsOf() []string {
	if c.Exchange {
		return nil
	}
	return c.Serves
}
