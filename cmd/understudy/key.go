package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// sealingKey is the configured key, or on localhost the one in a file beside the database, made at first use. A database
// that has a signing key has been used: a fresh key would open nothing in it, and hide that the file is lost.
func sealingKey(ctx context.Context, l *config.Loaded, st store.Store) ([]byte, error) {
	if l.SealingKey != "" {
		return l.Key()
	}
	path := l.Database + ".key"
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	used, err := st.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading signing keys: %w", err)
	}
	if len(used) > 0 {
		return nil, withHint(fmt.Errorf("the sealing key %s is gone, and %s cannot be used without it", path, l.Database),
			"put the file back, or give the key as UNDERSTUDY_SEALING_KEY or sealing_key_file")
	}
	if err := makeKey(path); err != nil {
		return nil, fmt.Errorf("making the sealing key: %w", err)
	}
	return readKey(path)
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, withHint(fmt.Errorf("sealing key %s is readable by others (mode %04o)", path, info.Mode().Perm()), "chmod 600 "+path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := config.Config{SealingKey: oauth.Secret(strings.TrimSpace(string(text)))}
	key, err := c.Key()
	if err != nil {
		return nil, fmt.Errorf("sealing key %s %w", path, err)
	}
	return key, nil
}

// makeKey writes a fresh key under a name of its own and links it in place: of two commands that start together one
// wins, and neither ever reads half a key.
func makeKey(path string) error {
	key := make([]byte, config.SealingKeySize)
	rand.Read(key) // never fails (crypto/rand)
	temp := path + "." + oauth.NewID("new")
	if err := writeSecret(temp, base64.StdEncoding.EncodeToString(key)); err != nil {
		return err
	}
	err := os.Link(temp, path)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(temp))
}

// writeSecret writes text and a newline to a file that must not be there yet, readable by its owner alone.
func writeSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}
