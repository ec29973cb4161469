package faulty

import (
	"net/http"
	"strings"
)

// transmitter is SSF 1.0 §7.1, of a server that has one stream and nothing to tell.
func (s *Server) transmitter(w http.ResponseWriter, _ *http.Request) {
	m := object{"spec_version": "1_0", "issuer": s.issuer, "jwks_uri": s.issuer + "/keys", "configuration_endpoint": s.issuer + "/streams"}
	switch {
	case s.wrong("transmitter-of-another-issuer"):
		m["issuer"] = "https://other-issuer.example"
	case s.wrong("transmitter-has-no-keys"):
		m["jwks_uri"] = s.issuer + "/no-keys"
	}
	writeJSON(w, http.StatusOK, m)
}

// streams is SSF 1.0 §8.1.1, for whoever may impersonate and does not.
func (s *Server) streams(w http.ResponseWriter, r *http.Request) {
	t := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	may := s.active(t) && t.subject.impersonates && t.actor == nil
	switch {
	case s.wrong("streams-for-anybody"), s.active(t) && s.wrong("streams-for-any-token"):
		may = true
	}
	if !may {
		if !s.wrong("streams-without-challenge") {
			w.Header().Set("WWW-Authenticate", `Bearer realm="streams"`)
		}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	writeJSON(w, http.StatusOK, object{"stream_id": "one", "iss": s.issuer})
}
