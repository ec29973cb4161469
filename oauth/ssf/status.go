package ssf

import "encoding/json"

// Status is whether a stream tells anything (SSF §8.1.2).
type Status string

// The states of a stream.
const (
	Enabled  Status = "enabled"
	Paused   Status = "paused"   // what happens meanwhile is told later
	Disabled Status = "disabled" // and here it is not: when it is enabled again, it starts with a snapshot
)

// StreamStatus is what a receiver asks for, and what is answered.
type StreamStatus struct {
	ID     string `json:"stream_id"`
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"`
}

const maxReason = 255 // bytes

// ParseStatus reads the body of a request to change the status of a stream. The error is always a *Fault.
func ParseStatus(raw []byte) (StreamStatus, error) {
	var s StreamStatus
	err := readObject(raw, func(name string, value json.RawMessage) error {
		switch name {
		case "stream_id":
			return text(name, value, maxText, &s.ID)
		case "status":
			return text(name, value, maxText, (*string)(&s.Status))
		case "reason":
			return text(name, value, maxReason, &s.Reason)
		}
		return nil
	})
	switch {
	case err != nil:
		return StreamStatus{}, err
	case s.ID == "":
		return StreamStatus{}, &Fault{"stream_id", "is required (SSF section 8.1.2.2)"}
	case s.Status != Enabled && s.Status != Paused && s.Status != Disabled:
		return StreamStatus{}, &Fault{"status", "must be enabled, paused or disabled (SSF section 8.1.2)"}
	}
	return s, nil
}

// VerifyRequest asks for a SET with Verified, to see that a stream works (SSF §8.1.4.2).
type VerifyRequest struct {
	ID    string
	State string // "" for none; comes back as it is
}

const maxState = 255 // bytes

// ParseVerifyRequest reads the body of a request for verification. The error is always a *Fault.
func ParseVerifyRequest(raw []byte) (VerifyRequest, error) {
	var v VerifyRequest
	err := readObject(raw, func(name string, value json.RawMessage) error {
		switch name {
		case "stream_id":
			return text(name, value, maxText, &v.ID)
		case "state":
			return text(name, value, maxState, &v.State)
		}
		return nil
	})
	if err == nil && v.ID == "" {
		err = &Fault{"stream_id", "is required (SSF section 8.1.4.2)"}
	}
	if err != nil {
		return VerifyRequest{}, err
	}
	return v, nil
}

// ParseSubjectRequest reads the body of a request to add a subject to a stream or to remove one, and gives the stream's id (SSF §8.1.3).
// Which subject that is matters to nobody here, but it must be one: an object with a format. The error is always a *Fault.
func ParseSubjectRequest(raw []byte) (stream string, err error) {
	var format string
	err = readObject(raw, func(name string, value json.RawMessage) error {
		switch name {
		case "stream_id":
			return text(name, value, maxText, &stream)
		case "verified":
			var ignored bool
			return boolean(name, value, &ignored)
		case "subject":
			return readMembers(name, value, func(name string, value json.RawMessage) error {
				if name == "format" {
					return text("subject.format", value, maxText, &format)
				}
				return nil
			})
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case stream == "":
		return "", &Fault{"stream_id", "is required (SSF section 8.1.3.2)"}
	case format == "":
		return "", &Fault{"subject.format", "is required (RFC 9493 section 3)"}
	}
	return stream, nil
}
