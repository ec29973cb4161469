package faulty

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
)

// askForCode lets somebody half in.
func (s *Server) askForCode(w http.ResponseWriter, a *Account, next string) {
	cookie := random()
	s.logins[cookie] = &login{account: a, at: s.now(), half: true}
	http.SetCookie(w, &http.Cookie{Name: loginCookie, Value: cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	s.show(w, http.StatusOK, shown{Title: "Your code", Half: true, Next: next})
}

// takeCode is RFC 6238 §5.2.
func (s *Server) takeCode(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie(loginCookie)
	if err != nil || s.logins[c.Value] == nil || !s.logins[c.Value].half || !leadsOn(r.PostFormValue("next")) {
		s.refusePage(w, http.StatusBadRequest, "There is nothing to go on to.")
		return
	}
	a, code := s.logins[c.Value].account, r.PostFormValue("code")
	now := s.now().Unix() / 30
	for step := now - 1; step <= now+1; step++ {
		fits := code == codeOf(a.totp, step) && (step > s.steps[a] || s.wrong("second-factor-taken-again")) || code == "" && s.wrong("empty-code-taken")
		if fits {
			s.steps[a] = step
			delete(s.logins, c.Value)
			s.letIn(w, r, a, r.PostFormValue("next"))
			return
		}
	}
	s.show(w, http.StatusOK, shown{Title: "Your code", Text: "The code is wrong.", Half: true, Next: r.PostFormValue("next")})
}

// codeOf is RFC 6238 §4.
func codeOf(secret string, step int64) string {
	key, err := base32.StdEncoding.DecodeString(secret)
	if err != nil { // it is one of ours
		panic(err)
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash takes all
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff%1e6)
}
