package server

import "github.com/understudy-id/understudy/oauth/internal/seal"

// NewBox makes the Config.Box of a sealing key of 32 bytes, for those who cannot import package seal. Any other length is
// an error.
func NewBox(key []byte) (*seal.Box, error) { return seal.New(key) }
