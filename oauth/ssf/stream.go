package ssf

import (
	"encoding/json"
	"slices"
)

// How SETs travel.
const (
	DeliveryPush = "urn:ietf:rfc:8935"
	DeliveryPoll = "urn:ietf:rfc:8936"
)

// Scope is what a token must have at every endpoint of this package but the metadata. Its aud must be the issuer.
const Scope = "ssf"

// MaxStreams is how many streams a client may have: one for each of its processes.
const MaxStreams = 64

// MinVerification is the min_verification_interval, in seconds.
const MinVerification = 5

// Events are those that a receiver may ask for (events_supported).
func Events() []string { return []string{EventSessionRevoked} }

// Metadata is the transmitter configuration (SSF §7.1). A stream tells of every subject: what it left out would go on. A receiver opens
// streams by poll alone; the endpoint of one that is pushed is registered by an operator, or a stolen token could choose it.
type Metadata struct {
	SpecVersion           string   `json:"spec_version"`
	Issuer                string   `json:"issuer"`
	JWKSURI               string   `json:"jwks_uri"`
	DeliveryMethods       []string `json:"delivery_methods_supported"`
	ConfigurationEndpoint string   `json:"configuration_endpoint"`
	StatusEndpoint        string   `json:"status_endpoint"`
	AddSubjectEndpoint    string   `json:"add_subject_endpoint"`
	RemoveSubjectEndpoint string   `json:"remove_subject_endpoint"`
	VerificationEndpoint  string   `json:"verification_endpoint"`
	AuthorizationSchemes  []Scheme `json:"authorization_schemes"`
	DefaultSubjects       string   `json:"default_subjects"`
	// SETAlgorithms are those by which SETs are signed now.
	SETAlgorithms []string `json:"understudy_set_signing_alg_values_supported"`
}

// Scheme is a way to authenticate at the endpoints (SSF §7.1.1).
type Scheme struct {
	URN string `json:"spec_urn"`
}

// MetadataOf gives the document of issuer, an absolute URL without a trailing slash, whose SETs are signed by algorithm.
func MetadataOf(issuer, algorithm string) Metadata {
	return Metadata{
		SpecVersion: "1_0", Issuer: issuer, JWKSURI: issuer + "/oauth2/jwks", DeliveryMethods: []string{DeliveryPoll, DeliveryPush},
		ConfigurationEndpoint: issuer + "/ssf/streams", StatusEndpoint: issuer + "/ssf/status",
		AddSubjectEndpoint: issuer + "/ssf/subjects/add", RemoveSubjectEndpoint: issuer + "/ssf/subjects/remove",
		VerificationEndpoint: issuer + "/ssf/verify", AuthorizationSchemes: []Scheme{{"urn:ietf:rfc:6749"}},
		DefaultSubjects: "ALL", SETAlgorithms: []string{algorithm},
	}
}

// Stream is the configuration of a stream (SSF §8.1.1).
type Stream struct {
	ID        string   `json:"stream_id"`
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"` // the client_id
	Supported []string `json:"events_supported"`
	Requested []string `json:"events_requested,omitempty"`
	Delivered []string `json:"events_delivered"`
	Delivery  Delivery `json:"delivery"`
	// MinVerification is how many seconds must lie between two requests for verification.
	MinVerification int `json:"min_verification_interval"`
	// Inactivity is after how many seconds without a poll the stream is gone; 0 where it is pushed.
	Inactivity  int    `json:"inactivity_timeout,omitempty"`
	Description string `json:"description,omitempty"`
}

// Delivery is how the SETs of a stream travel (SSF §6.1).
type Delivery struct {
	Method string `json:"method"`
	// URL is where to poll, of the transmitter's choice: in the answer that opened a stream alone with the secret without which it answers 404.
	// Of DeliveryPush it is the endpoint that an operator registered.
	URL string `json:"endpoint_url"`
}

// StreamRequest is what a receiver asks of a stream: to open one, to change or to replace it (SSF §8.1.1.1, §8.1.1.3, §8.1.1.4).
type StreamRequest struct {
	ID          string    // "" to open one
	Requested   *[]string // nil where it says nothing of it
	Description *string
}

// Bounds of a StreamRequest.
const (
	maxRequested   = 32
	maxDescription = 255 // bytes
)

// ParseStreamRequest reads the body of a request to open a stream, or of one to change or replace one where existing is set. What else the
// transmitter supplies may stand in it too, and counts for nothing. The error is always a *Fault.
func ParseStreamRequest(raw []byte, existing bool) (StreamRequest, error) {
	var r StreamRequest
	err := readObject(raw, func(name string, value json.RawMessage) error {
		switch name {
		case "stream_id":
			return text(name, value, maxText, &r.ID)
		case "events_requested":
			r.Requested = new([]string)
			return texts(name, value, maxRequested, r.Requested)
		case "description":
			r.Description = new(string)
			return text(name, value, maxDescription, r.Description)
		case "delivery":
			return byPoll(value)
		}
		return nil
	})
	switch {
	case err != nil:
		return StreamRequest{}, err
	case existing && r.ID == "":
		return StreamRequest{}, &Fault{"stream_id", "is required (SSF section 8.1.1.3)"}
	case !existing && r.ID != "":
		return StreamRequest{}, &Fault{"stream_id", "is for the transmitter to choose (SSF section 8.1.1.1)"}
	}
	return r, nil
}

// byPoll wants a delivery by poll. Its endpoint_url is for the transmitter to choose, so what stands there counts for nothing.
func byPoll(raw json.RawMessage) error {
	var method string
	err := readMembers("delivery", raw, func(name string, value json.RawMessage) error {
		if name == "method" {
			return text("delivery.method", value, maxText, &method)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case method == DeliveryPush:
		return &Fault{"delivery.method", "SETs are pushed to endpoints alone that an operator registered"}
	case method != DeliveryPoll:
		return &Fault{"delivery.method", "must be " + DeliveryPoll}
	}
	return nil
}

// Delivered gives those of the events that were asked for which a stream tells of. Never nil.
func Delivered(requested []string) []string {
	out := []string{}
	for _, event := range Events() {
		if slices.Contains(requested, event) {
			out = append(out, event)
		}
	}
	return out
}
