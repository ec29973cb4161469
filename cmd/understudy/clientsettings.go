package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/oauth/store"
)

// settingsFlags are the flags of a client's settings, in groups that belong together: how it authenticates, what it gets, where
// sign-out goes. jwks is the name of a file, for readKeys.
func settingsFlags(cmd *cobra.Command, s *store.Settings, jwks *string) {
	f := cmd.Flags()
	f.StringVar((*string)(&s.Auth), "auth", "", "the one `method` by which it authenticates: client_secret_basic (default), client_secret_post, private_key_jwt, or none if it is public")
	f.StringVar(jwks, "jwks", "", "`file` with the JWK set of its public keys, for private_key_jwt")
	f.BoolVar(&s.DPoP, "dpop", false, "it gets no token without a DPoP proof (RFC 9449)")
	f.BoolVar(&s.RequirePAR, "require-par", false, "it must push its authorization requests (RFC 9126)")
	f.StringVar(&s.IDTokenAlg, "id-token-alg", "", "`algorithm` of its ID tokens: ES256, EdDSA or RS256 (default: the server's own)")
	f.BoolVar(&s.Refresh, "refresh", false, "it gets a refresh token at each sign-in")
	f.StringVar((*string)(&s.Service), "service", "", "it may act for itself, as this `kind`: service or ai_agent")
	f.BoolVar(&s.UserID, "user-id-start", false, "it may impersonate by a bare user id, look only, without the page")
	f.Var((*subjectIssuer)(&s.SubjectIssuer), "subject-issuer", "it knows people by their sub at this other `issuer` (URL, byte by byte), or by their IDs here: local (default). All clients of a --resource must have the same")
	f.StringArrayVar(&s.PostLogoutRedirectURIs, "post-logout-redirect-uri", nil, "where people come back to after signing out (`URI`); repeat for more")
	f.StringVar(&s.BackchannelLogoutURI, "backchannel-logout-uri", "", "where it hears that a sign-in or an impersonation is over (`URI`)")
	f.StringVar(&s.PushURI, "ssf-push-uri", "", "where Security Event Tokens are pushed that tell of the end of its impersonations (`URI`, RFC 8935)")
}

// subjectIssuer is a flag: local is no other issuer.
type subjectIssuer string

const local = "local"

// Set implements pflag.Value.
func (s *subjectIssuer) Set(value string) error {
	if value == local {
		value = ""
	}
	*s = subjectIssuer(value)
	return nil
}

// String implements pflag.Value. Nothing is the default, which the usage text names itself.
func (s *subjectIssuer) String() string { return string(*s) }

// Type implements pflag.Value.
func (s *subjectIssuer) Type() string { return "string" }

// maxKeysFile is more than any set of eight keys needs.
const maxKeysFile = 64 << 10

// readKeys reads a JWK set; "" is none. Whether it is one, and of public keys alone, is for package admin.
func readKeys(file string) (json.RawMessage, error) {
	if file == "" {
		return nil, nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	if info.Size() > maxKeysFile {
		return nil, fmt.Errorf("reading the keys: %s has more than %d bytes", file, maxKeysFile)
	}
	keys, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	if len(keys) == 0 {
		return nil, withHint(fmt.Errorf("%s is empty", file), "a JWK set is {\"keys\":[…]} (RFC 7517 section 5)")
	}
	if bytes.Contains(keys, []byte("-----BEGIN ")) {
		return nil, withHint(fmt.Errorf("%s is PEM and no JWK set", file), "a JWK set is {\"keys\":[…]} (RFC 7517 section 5), of public keys alone")
	}
	return keys, nil
}

// settingsOut is the part of a client as -o json has it that is off for most, under the names of the registration metadata (RFC 7591).
type settingsOut struct {
	DPoP        bool     `json:"dpop_bound_access_tokens,omitempty"`
	RequirePAR  bool     `json:"require_pushed_authorization_requests,omitempty"`
	IDTokenAlg  string   `json:"id_token_signed_response_alg,omitempty"`
	Refresh     bool     `json:"refresh,omitempty"`
	Service     string   `json:"service,omitempty"`
	UserID      bool     `json:"user_id_start,omitempty"`
	Subjects    string   `json:"subject_issuer,omitempty"`
	PostLogout  []string `json:"post_logout_redirect_uris,omitempty"`
	Backchannel string   `json:"backchannel_logout_uri,omitempty"`
	Push        string   `json:"ssf_push_uri,omitempty"`
}

func settingsOf(s store.Settings) settingsOut {
	return settingsOut{s.DPoP, s.RequirePAR, s.IDTokenAlg, s.Refresh, string(s.Service), s.UserID, s.SubjectIssuer, s.PostLogoutRedirectURIs, s.BackchannelLogoutURI, s.PushURI}
}
